#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What is installed beside the program fits it, and is understood by who reads it.

Usage: install.py options SOURCES PROGRAM COMPLETION...
       install.py completions COMPLETION...
       install.py units PROGRAM UNIT...
       install.py apparmor PROFILE SHARES

Each check prints what is wrong, one line a finding, and exits with 1 if there is any; with 77
where what it asks is not installed.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tools'))
import options as def_file

SKIPPED = 77
found = []


def say(where, what):
    found.append(f'{where}: {what}')


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def need(*programs):
    for p in programs:
        if not shutil.which(p, path=os.environ['PATH'] + ':/usr/sbin:/sbin'):
            print(f'{p} is not installed')
            sys.exit(SKIPPED)


def run(*args, **more):
    return subprocess.run(args, capture_output=True, text=True, check=False, timeout=120,
                          stdin=subprocess.DEVNULL, **more)


# --- options: --help, manual, completions, tests ---

LONG = re.compile(r'--([a-z][a-z0-9-]*[a-z0-9])')


def named(text):
    return set(LONG.findall(text))


def compare(where, names, wanted, known):
    for name in sorted(wanted - names):
        say(where, f'--{name} is missing')
    for name in sorted(names - known):
        say(where, f'--{name} is no option')


def manual_lists(text, subs):
    """Each of -o stands in the manual; no_x in what is said of x."""
    start = text.index('options= ')
    listed = set(re.findall(r'[a-z_0-9]+', text[start:text.index('\n.SH', start)]))
    for s in subs:
        if s.name not in listed and not (s.name.startswith('no_') and s.name[3:] in listed):
            say('doc/virtiofsd.1', f'-o {s.name} is missing')


def completion_names(path):
    """The options that a completion offers or knows."""
    text = '\n'.join(line for line in read(path).split('\n') if not line.startswith('#'))
    if path.endswith('.fish'):
        return set(re.findall(r' -l ([a-z0-9-]+)', text))
    if os.path.basename(path).startswith('_'):
        return set(re.findall(r"^\t'\*--([a-z0-9-]+)", text, re.M))
    offered = re.search(r"compgen -W '(--shared-dir=[^']*)'", text)
    return named(offered.group(1)) if offered else set()


def tests_name():
    """The options that tests use, in a file that can be run as one."""
    names = set()
    for folder, _, files in os.walk(os.path.join(TOP, 'tests')):
        if os.path.basename(folder) not in ('lint', 'package'):
            for f in files:
                if f.endswith(('.c', '.py')):
                    names |= named(read(os.path.join(folder, f)))
    return names


def check_options(source, program, *completions):
    opts, subs = def_file.read(source)
    known = {o.name for o in opts}
    helped = {o.name for o in opts if o.help}
    shown = run(program, '--help').stdout
    compare('--help', set(re.findall(r'^ {2}(?:-\w, | {4})--([a-z0-9-]+)', shown, re.M)), helped,
            known)
    manual = read(os.path.join(TOP, 'doc/virtiofsd.1')).replace('\\-', '-')
    compare('doc/virtiofsd.1', named(manual), known, known)
    manual_lists(manual, subs)
    for path in completions:
        compare(os.path.basename(path), completion_names(path), helped, helped)
        for s in subs:
            if not re.search(rf'\b{s.name}\b', read(path)):
                say(os.path.basename(path), f'-o {s.name} is missing')
    compare('tests', tests_name() & known, known, known)
    for o in opts:
        if o.argument in ('MODE', 'WHEN', 'ACTION', 'LEVEL') and not o.words:
            say('options.def', f'--{o.name} takes one of some words, which WORDS does not have')


# --- completions ---

# What is typed, and what is offered
TYPED = (
    (('--cache', '=', 'a'), 'auto always'),
    (('--cache', 'al'), 'always'),
    (('--sock',), '--socket-path= --socket-group='),
    (('-o', 'source', '=', '/x,cache', '=', 'al'), 'always'),
    (('-o', 'source', '=', '/x,no_fl'), '/x,no_flock'),
    (('--posix-acl', '=', ''), 'never auto always'),
    (('--posix-acl', '--vers'), '--version'),
    (('--fd', '=', ''), ''),
)


def bash_offers(path, words):
    script = ('compopt() { :; }; . "$0"; COMP_WORDS=(virtiofsd "$@"); COMP_CWORD=$#; '
              '_virtiofsd; echo "${COMPREPLY[*]}"')
    return run('bash', '-c', script, path, *words).stdout.strip()


def check_completions(*paths):
    for path in paths:
        name = os.path.basename(path)
        shell = 'fish' if path.endswith('.fish') else \
            'zsh' if name.startswith('_') or path.endswith('.zsh') else 'bash'
        if not shutil.which(shell):
            continue
        r = run(shell, '-n', path)
        if r.returncode or r.stderr:
            say(name, f'{shell} says: {r.stderr.strip()}')
        if shell == 'bash' and name.startswith('virtiofsd'):
            for words, wanted in TYPED:
                offered = bash_offers(path, words)
                if offered != wanted:
                    say(name, f'{" ".join(words)}: offers "{offered}", not "{wanted}"')


# --- units, AppArmor ---

def check_units(program, *units):
    """Read by systemd, with the program that was built in the place of what is not installed."""
    need('systemd-analyze')
    with tempfile.TemporaryDirectory() as folder:
        for unit in units:
            text = re.sub(r'^ExecStart=\S+', 'ExecStart=' + os.path.abspath(program),
                          read(unit), flags=re.M)
            with open(os.path.join(folder, os.path.basename(unit)), 'w', encoding='utf-8') as f:
                f.write(text)
        for unit in units:
            name = os.path.basename(unit)
            r = run('systemd-analyze', 'verify', '--man=no', os.path.join(folder, name))
            lines = [line for line in (r.stdout + r.stderr).split('\n') if 'virtiofsd' in line]
            for line in lines:
                say(name, line.replace(folder + '/', ''))
            if r.returncode and not lines:
                say(name, f'systemd-analyze: {r.stderr.strip()}')


def check_apparmor(profile, shares):
    need('apparmor_parser')
    name = os.path.basename(profile)
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, name + '.d'))
        shutil.copy(shares, os.path.join(folder, name + '.d', 'shares'))
        r = run('apparmor_parser', '-QTK', '--warn=all', '-I', folder, profile,
                env=dict(os.environ, PATH=os.environ['PATH'] + ':/usr/sbin:/sbin'))
        if r.returncode or not re.search(rf'^profile {name} /', read(profile), re.M):
            say(name, f'apparmor_parser says: {r.stderr.strip()}')


# --- probes ---

def check_probes(program, has_sdt):
    """The probes of doc/watching.md are in the program, where <sys/sdt.h> was there to build it."""
    if has_sdt != 'true':
        print('no <sys/sdt.h>: built without probes')
        sys.exit(77)
    with open(program, 'rb') as f:
        data = f.read()
    for name in ('request_start', 'request_done'):
        if b'virtiofsd\0' + name.encode() + b'\0' not in data:
            say(program, f'has no probe virtiofsd:{name}')


CHECKS = {
    'options': check_options,
    'completions': check_completions,
    'units': check_units,
    'apparmor': check_apparmor,
    'probes': check_probes,
}


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__)
    CHECKS[sys.argv[1]](*sys.argv[2:])
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


if __name__ == '__main__':
    main()
