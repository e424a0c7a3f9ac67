#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the design says about the sources and a compiler does not check.

Usage: lint.py CHECK SOURCE_ROOT [COMPILER...|FILE]

Each check prints what breaks it, one line a finding, and exits with 1 if there
is any. Exceptions stand in the tables below, each with its reason; one that is
no longer needed is a finding, too.
"""
import concurrent.futures
import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
import install

# Layers, lowest first. A file includes its own folder and lower layers; two
# folders of one layer know nothing of each other.
LAYERS = [
    {'base', 'config.h', 'syscalls.h', 'version.h'},
    {'wire'},
    {'virtio', 'fs'},
    {'fuse'},
    {'device', 'migrate'},
    {'vhost'},
    {'control'},
    {'keeper'},
    {'top'},
]
# Folders that lie beside the stairs: they use the lowest layer alone, and only
# what starts and ends processes calls them.
BESIDE = {'sandbox'}
BESIDE_CALLERS = {'keeper', 'top'}

LAYER_EXCEPTIONS = {
    ('config.h', 'base/log.h'): 'the log level is a part of the configuration',
    ('config.h', 'base/idmap.h'): 'so are the id translations',
}

# Descriptors are born in base/fd.c. What makes one elsewhere hands it to
# fd_adopt() at once.
OPENING = ('open', 'open64', 'openat', 'openat2', 'creat', 'close', 'close_range',
           'dup', 'dup2', 'dup3', 'eventfd', 'socket', 'socketpair', 'accept',
           'accept4', 'pipe', 'pipe2', 'memfd_create', 'epoll_create',
           'epoll_create1', 'timerfd_create', 'signalfd', 'inotify_init',
           'inotify_init1', 'opendir', 'fdopendir', 'fopen', 'fdopen',
           'open_by_handle_at', 'pidfd_open', 'shm_open', 'mkstemp')
OPEN_EXCEPTIONS = {
    ('base/fd.c', '*'): 'this is the place',
    ('base/arena.c', 'memfd_create'): 'memory, adopted',
    ('device/crew.c', 'epoll_create1'): 'adopted',
    ('vhost/server.c', 'accept4'): 'adopted',
    ('control/control.c', 'accept4'): 'adopted',
    ('keeper/listen.c', 'socket'): 'adopted',
    ('base/syslog.c', 'socket'): 'adopted',
    ('keeper/manager.c', 'socket'): 'adopted',
    ('keeper/background.c', 'dup2'): 'standard descriptors, which nobody owns',
    ('sandbox/limits.c', 'fopen'): 'a number below /proc, read at the start'
                           ' and closed again',
    ('main.c', 'open'): 'before anything else: standard descriptors that are '
                        'missing',
    ('main.c', 'close'): 'the same',
}

# What ends the process. Only start-up may; a bug of ours aborts.
EXITING = ('exit', '_exit', '_Exit', 'quick_exit', 'err', 'errx')
EXIT_EXCEPTIONS = {
    ('main.c', 'exit'): 'this is the place',
}

# No allocation on the path of a request.
ALLOCATING = ('malloc', 'calloc', 'realloc', 'reallocarray', 'aligned_alloc',
              'posix_memalign', 'memalign', 'strdup', 'strndup', 'asprintf',
              'vasprintf', 'alloca', 'getline', 'open_memstream', 'free')
REQUEST_PATH = re.compile(r'(fs/(op_.*|lookup|attr|name|reopen|request|cred)\.c|'
                          r'fuse/.*\.c|virtio/.*\.c)$')
ALLOC_EXCEPTIONS = {}

FILE_LINES = 600
FUNCTION_LINES = 60
LENGTH_EXCEPTIONS = {}

SPDX = 'SPDX-License-Identifier: BSD-3-Clause'


class Tree:
    """The sources, and which exceptions were needed."""

    def __init__(self, root):
        self.root = root
        self.files = sorted(
            os.path.relpath(os.path.join(d, f), root)
            for d, _, names in os.walk(root) for f in names
            if f.endswith(('.c', '.h')))
        self.used = set()
        self.found = []

    def read(self, name):
        with open(os.path.join(self.root, name), encoding='utf-8') as f:
            return f.read()

    def excused(self, table, *key):
        for k in (key, (key[0], '*')):
            if k in table:
                self.used.add(k)
                return True
        return False

    def say(self, where, what):
        self.found.append(f'{where}: {what}')

    def unused(self, table):
        for key in table:
            if key not in self.used:
                self.say(key[0], f'exception {key} is not needed')


def without_comments(text):
    """The same lines, with comments and the inside of strings blanked out."""
    def blank(m):
        s = m.group(0)
        if s[0] in '"\'':
            return s[0] * 2
        return ' ' + '\n' * s.count('\n')
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'
                  r"'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


def folder(name):
    return name.split('/')[0] if '/' in name else 'top'


def layer(name):
    for i, members in enumerate(LAYERS):
        if name in members or folder(name) in members:
            return i
    return None


def may_include(name, other):
    if folder(name) == folder(other) and name != 'config.h':
        return True
    if folder(name) in BESIDE:
        return layer(other) == 0
    if folder(other) in BESIDE:
        return folder(name) in BESIDE_CALLERS
    if layer(name) is None or layer(other) is None:
        return False
    return layer(other) < layer(name)


def check_layers(tree):
    known = set(tree.files) | {'version.h', 'options.def', 'syscalls.h'}
    for name in tree.files:
        if layer(name) is None and folder(name) not in BESIDE:
            tree.say(name, 'is in no layer that this script knows')
        for m in re.finditer(r'^#include "(.*)"', tree.read(name), re.M):
            other = m.group(1)
            if other not in known:
                tree.say(name, f'includes "{other}", not by its path in src')
            elif not may_include(name, other) and not tree.excused(
                    LAYER_EXCEPTIONS, name, other):
                tree.say(name, f'includes "{other}", which is not below it')
    tree.unused(LAYER_EXCEPTIONS)


def check_headers(tree, compiler):
    """Each header compiles alone, and twice."""
    def compile_one(name):
        code = f'#include "{name}"\n#include "{name}"\n'
        r = subprocess.run(
            compiler + ['-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-Werror',
                        '-fsyntax-only', '-I', tree.root, '-x', 'c', '-'],
            input=code, capture_output=True, text=True, check=False)
        return name, r
    headers = [f for f in tree.files if f.endswith('.h')]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for name, r in pool.map(compile_one, headers):
            if r.returncode:
                tree.say(name, 'does not compile alone:\n' + r.stderr)


def check_calls(tree, names, table, what, where=lambda name: True):
    call = re.compile(r'(?<![\w.>])(' + '|'.join(names) + r')\s*\(')
    for name in tree.files:
        if not where(name):
            continue
        text = without_comments(tree.read(name))
        for m in call.finditer(text):
            if not tree.excused(table, name, m.group(1)):
                line = text.count('\n', 0, m.start()) + 1
                tree.say(f'{name}:{line}', f'{m.group(1)}(): {what}')
    tree.unused({k: v for k, v in table.items() if k[0] in tree.files and
                 k[1] != '*'})


def check_descriptors(tree):
    check_calls(tree, OPENING, OPEN_EXCEPTIONS,
                'descriptors are opened and closed in base/fd.c')
    # A system call by its number is a call all the same.
    number = re.compile(r'syscall\(\s*SYS_(' + '|'.join(OPENING) + r')\b')
    for name in tree.files:
        for m in number.finditer(without_comments(tree.read(name))):
            if not tree.excused(OPEN_EXCEPTIONS, name, m.group(1)):
                tree.say(name, f'SYS_{m.group(1)} outside base/fd.c')


def check_exits(tree):
    check_calls(tree, EXITING, EXIT_EXCEPTIONS, 'only main.c exits')


def check_allocations(tree):
    check_calls(tree, ALLOCATING, ALLOC_EXCEPTIONS,
                'no allocation on the path of a request', REQUEST_PATH.search)


def check_licences(tree):
    for name in tree.files:
        if SPDX not in tree.read(name).split('\n', 1)[0]:
            tree.say(name, 'its first line is not the licence')
    for name in ('meson.build', 'options.def'):
        if SPDX not in tree.read(name)[:100]:
            tree.say(name, 'no licence on top')


def functions(text):
    """(name, first line, lines) of each function: kernel style puts the braces
    of one, and of nothing else that is code, into the first column."""
    lines = text.split('\n')
    start = None
    for i, line in enumerate(lines):
        if line == '{':
            start = i
        elif line == '}' and start is not None:
            first = start
            while first and lines[first - 1] and \
                    not lines[first - 1].startswith(('#', '}', ' */', '*/')):
                first -= 1
            m = re.search(r'(\w+)\(', ' '.join(lines[first:start]))
            yield (m.group(1) if m else '?'), first + 1, i - first + 1
            start = None


def check_lengths(tree):
    for name in tree.files:
        text = tree.read(name)
        n = text.count('\n')
        if n > FILE_LINES and not tree.excused(LENGTH_EXCEPTIONS, name, 'file'):
            tree.say(name, f'{n} lines, {FILE_LINES} is the most')
        for func, line, n in functions(text):
            if n > FUNCTION_LINES and not tree.excused(LENGTH_EXCEPTIONS, name,
                                                       func):
                tree.say(f'{name}:{line}', f'{func}() has {n} lines, '
                                           f'{FUNCTION_LINES} is the most')
    tree.unused(LENGTH_EXCEPTIONS)


def check_json(tree, path):
    """What VMM managers read names the program by its whole path."""
    with open(path, encoding='utf-8') as f:
        found = json.load(f)
    if found.get('type') != 'fs':
        tree.say(path, 'its type is not "fs"')
    if not re.fullmatch(r'/.*/virtiofsd(-\w+)?', found.get('binary', '')):
        tree.say(path, 'no whole path of the program')
    if set(found) - {'description', 'type', 'binary'}:
        tree.say(path, 'more than the format has')


# Suites of pytest
PYTHON = ('guest', 'libvirt', 'package')


def runs(tests, suite, area, name):
    """Whether there is such a test, and something that runs it."""
    path = os.path.join(tests, suite, area + ('.py' if suite in PYTHON else '.c'))
    if not os.path.exists(path):
        return False
    with open(path, encoding='utf-8') as f:
        text = f.read()
    if suite in PYTHON:
        return re.search(rf'^def {name}\(', text, re.M)
    return re.search(rf'^START_TEST\({name}\)', text, re.M) and \
        re.search(rf'(func_test(_long)?\(|tcase_add_\w+\(tc,\s*){name}\b', text)


def check_behaviours(tree):
    """The tests that tests/README.md names are there."""
    tests = os.path.join(tree.root, '../tests')
    with open(os.path.join(tests, 'README.md'), encoding='utf-8') as f:
        text = f.read()
    found = re.findall(r'`(unit|func|guest|libvirt|package)/(\w+):(\w+)`', text.split('\n### ', 1)[1])
    if len(found) != len(re.findall(r'`\w+/\w+:', text.split('\n### ', 1)[1])):
        tree.say('tests/README.md', 'names a test in a way that is not understood')
    for suite, area, name in found:
        if not runs(tests, suite, area, name):
            tree.say('tests/README.md', f'there is no {suite}/{area}:{name}')
    for name in re.findall(r'`lint:(\w+)`', text):
        if name not in CHECKS and name not in install.CHECKS:
            tree.say('tests/README.md', f'there is no lint:{name}')


def check_syscalls(tree, compiler):
    """What a comment declares is a system call. One that is misspelt would be
    taken for a call that this machine has not, and left out."""
    sys.path.insert(0, os.path.join(tree.root, 'sandbox'))
    import syscalls
    r = subprocess.run(compiler + ['-dM', '-E', '-include', 'sys/syscall.h',
                                   '-x', 'c', '/dev/null'],
                       capture_output=True, text=True, check=True)
    if '__x86_64__' not in r.stdout:
        return  # the names that others have not are among those it has
    known = set(re.findall(r'#define SYS_(\w+)', r.stdout))
    for name in tree.files:
        for _, call, _ in syscalls.declared(tree.read(name), name):
            if call not in known:
                tree.say(name, f'declares {call}, which is no system call')


CHECKS = {
    'layers': check_layers,
    'headers': check_headers,
    'descriptors': check_descriptors,
    'exits': check_exits,
    'allocations': check_allocations,
    'licences': check_licences,
    'lengths': check_lengths,
    'json': check_json,
    'behaviours': check_behaviours,
    'syscalls': check_syscalls,
}


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__ + '\nChecks: ' + ' '.join(CHECKS))
    tree = Tree(sys.argv[2])
    if not tree.files:
        sys.exit(f'{sys.argv[2]}: no sources')
    if sys.argv[1] in ('headers', 'syscalls'):
        CHECKS[sys.argv[1]](tree, sys.argv[3:] or ['cc'])
    elif sys.argv[1] == 'json':
        check_json(tree, sys.argv[3])
    else:
        CHECKS[sys.argv[1]](tree)
    for line in tree.found:
        print(line)
    sys.exit(1 if tree.found else 0)


if __name__ == '__main__':
    main()
