"""The steps of docs/tracing.md."""

import re


def billed_twice(page):
    page.shell.enter(page.tree)
    page.shell.run("export HOSTNAME=laptop")
    page.run(seconds=120)
    found = page.run(numbers=True)
    # The next command names a message of this run.
    told = page.waiting[0].text.split("--message-id ")[1].split()[0]
    page.replaced[told] = re.search(r"shop\.v1\.OrderPlaced in events: messages (\S+),", found.output)[1]
    page.run(numbers=True)


sections = {"A customer was billed twice": billed_twice}
