#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Collects the system calls that the sources declare, for sandbox/seccomp.c.

Usage: syscalls.py OUTPUT SOURCE... (what does not end in .c is passed over)

A comment beside the function that makes a call says so:

    syscalls: statx openat fcntl:F_OFD_SETLK,F_OFD_GETLK
    syscalls(keeper): wait4

to the end of the line. The word in brackets is the group:

    (none)      calls of the worker while it serves
    keeper      of the keeper, and of a worker until it serves
    launcher    of the process that waits outside
    libc        what the C library does on its own account, in all three
    handles     with file handles, in keeper and worker
    syslog      with --syslog, in all three
    sanitizer   what sanitizers do, in builds that have them
    start       before any filter: a note for the reader

Some calls are worth as much as their arguments allow (ARGUMENT); for these the
values follow, constants of C. A call that the machine has not is left out.
"""
import re
import sys

GROUPS = ('worker', 'keeper', 'launcher', 'libc', 'handles', 'syslog', 'sanitizer', 'start')

# Calls of which a bare name would say too much: which argument decides.
ARGUMENT = {
    'clone': 0, 'fcntl': 1, 'ioctl': 1, 'prctl': 0, 'rt_sigqueueinfo': 1,
    'socket': 0, 'tgkill': 2, 'unshare': 0,
}

DECLARATION = re.compile(r'syscalls(?:\((\w+)\))?:([^\n]*)')
COMMENT = re.compile(r'/\*.*?\*/', re.S)
CALL = re.compile(r'([a-z0-9_]+)(?::([A-Z0-9_|,]+))?$')


def declared(text, path):
    """(group, call, value) of each declaration."""
    for comment in COMMENT.findall(text):
        for m in DECLARATION.finditer(comment):
            group = m.group(1) or 'worker'
            if group not in GROUPS:
                sys.exit(f'{path}: there is no group {group}')
            for word in m.group(2).replace('*/', ' ').split():
                call = CALL.match(word)
                if not call:
                    sys.exit(f"{path}: '{word}' is no system call")
                name, values = call.groups()
                if (name in ARGUMENT) != bool(values) and group != 'sanitizer':
                    sys.exit(f'{path}: {name}: with values of its argument, '
                             'if it stands in ARGUMENT, and only then')
                for value in (values or '').split(','):
                    yield group, name, value


def main():
    groups = {group: set() for group in GROUPS}
    for path in sys.argv[2:]:
        if path.endswith('.c'):
            with open(path, encoding='utf-8') as f:
                for group, name, value in declared(f.read(), path):
                    groups[group].add((name, value))
    with open(sys.argv[1], 'w', encoding='utf-8') as out:
        out.write('/* Made by sandbox/syscalls.py from the comments in the sources. */\n')
        for group in GROUPS:
            if group == 'start':
                continue
            out.write(f'\nstatic const struct rule {group}_rules[] = {{\n')
            for name, value in sorted(groups[group]):
                argument = ARGUMENT[name] if value else -1
                out.write(f'#ifdef SYS_{name}\n'
                          f'\t{{ SYS_{name}, {argument}, {value or 0} }},\n'
                          '#endif\n')
            out.write('};\n')


if __name__ == '__main__':
    main()
