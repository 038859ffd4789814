#!/bin/sh
# Runs a program that must refuse what it is given: with an exit status of its own, not that of a signal.
"$@" 2>&1
status=$?
[ "$status" -gt 0 ] && [ "$status" -lt 128 ] && echo refused
