"""One tree of errors. Each says what is wrong, what to do, and how to exit."""


class FitcheckError(Exception):
    """Something the user can act on: one line of error, one of remedy."""

    exit_code = 2

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class BadInput(FitcheckError):
    """A value that was typed, or a file that was given, can't be used."""


class UnknownName(FitcheckError):
    """No model, machine, format or engine goes by that name."""


class NativeMissing(FitcheckError):
    """The C extension is not installed, so nothing can be measured."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the microbenchmark is missing ({reason})",
            "install a C compiler (gcc or clang), then install fitcheck again",
        )


class NotEnoughMemory(FitcheckError):
    """A run was asked for that the machine's memory can't hold."""
