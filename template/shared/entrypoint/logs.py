"""The log, in which a request can neither add a line nor send an escape code to a terminal."""

import logging


def escape_log() -> None:
    """Escape what the handlers of the log write."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(EscapingFormatter(handler.formatter))


class EscapingFormatter(logging.Formatter):
    """The text of another formatter, in one line and printable; a traceback has its own lines.

    The other formatter adds values of the request after all filters, so they are escaped here.
    """

    def __init__(self, formatter: logging.Formatter | None) -> None:
        """Take the other formatter."""
        super().__init__()
        self._formatter = formatter or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """Return the escaped text. oslo.log starts each line of a traceback with time and level."""
        text = self._formatter.format(record)
        traceback = f"\n{record.exc_text}" if record.exc_text else ""
        head = text.removesuffix(traceback)
        lines = text[len(head) :].split("\n")
        return escape(head) + "\n".join(escape(line) for line in lines)


def escape(text: str) -> str:
    """Return the text with each unprintable character as Python writes it in a string."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
