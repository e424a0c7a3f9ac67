# SPDX-License-Identifier: BSD-3-Clause
"""Reads src/options.def for the scripts that make something of it or compare with it."""
import collections
import re

# name, short: without dashes; argument: None for a switch; optional: it may be left out;
# help: None for older spellings; words: what the argument is one of, or ()
Option = collections.namedtuple("Option", "name short argument optional help words")
# Of -o lists.
Sub = collections.namedtuple("Sub", "name wants_value words")

STRING = r'"((?:[^"\\]|\\.)*)"'
OPT = re.compile(r'^OPT\(%s, (0|\'.\'), (NULL|"[^"]*"), (\w+), (NULL|%s)\)$'
                 % (STRING, STRING), re.M)
SUBOPT = re.compile(r'^SUBOPT\("(\w+)", (true|false), (\w+), ', re.M)
WORDS = re.compile(r'^WORDS\("([\w-]+)", "([^"]*)"\)$', re.M)


def read(path):
    """(options, those of -o lists), as they stand in the file"""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    words = {name: tuple(row.split()) for name, row in WORDS.findall(text)}
    options, subs, of_setter = [], [], {}
    for name, short, argument, setter, help_, help_text in OPT.findall(text):
        argument = None if argument == "NULL" else argument.strip('"')
        optional = argument is not None and argument.startswith("[=]")
        options.append(Option(name, short.strip("'") if short != "0" else "",
                              argument[3:] if optional else argument, optional,
                              None if help_ == "NULL" else help_text, words.pop(name, ())))
        of_setter[setter] = options[-1].words
    for name, wants, setter in SUBOPT.findall(text):
        subs.append(Sub(name, wants == "true", of_setter.get(setter, ())))
    rows = len(re.findall(r'^(?:OPT|SUBOPT)\("', text, re.M))
    if rows != len(options) + len(subs):
        raise SystemExit("%s: %d of %d rows are not understood"
                         % (path, rows - len(options) - len(subs), rows))
    if words:
        raise SystemExit("%s: words for %s, which is no option" % (path, ", ".join(words)))
    return options, subs
