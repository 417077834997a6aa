#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""report.py DIR [-o FILE]: draws a results folder of m2c-exp as one page.

The same records give the same bytes: nothing here reads a clock."""
import argparse
import os
import sys


def fail(message):
    print(f"report.py: {message}", file=sys.stderr)
    return 1


def write(path, text):
    """Aside, then renamed: no half page."""
    aside = path + ".part"
    with open(aside, "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(aside, path)


def main():
    parser = argparse.ArgumentParser(description="Draws the results of a sweep as one "
                                     "self-contained HTML page.")
    parser.add_argument("dir", metavar="DIR", help="results folder of m2c-exp")
    parser.add_argument("-o", dest="out", metavar="FILE",
                        help="page to write; default DIR/report.html")
    args = parser.parse_args()
    from records import ReportError, load
    try:
        results = load(args.dir)
        from page import page
        from plots import all_plots
        out = args.out or os.path.join(args.dir, "report.html")
        write(out, page(results, all_plots(results)))
    except ReportError as e:
        return fail(e)
    except ImportError as e:
        return fail(f"{e}: matplotlib is needed (Debian: python3-matplotlib)")
    except OSError as e:
        return fail(f"{e.filename}: {e.strerror}")
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
