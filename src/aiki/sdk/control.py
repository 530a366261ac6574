"""What ends a run's code from within without being an error.

The rule: control flow derives from `BaseException`, so that no author's `except Exception` can swallow it.
"""

__all__ = ["ContinueAsNew"]


class ContinueAsNew(BaseException):
    """Unwinds the code of a run that goes on with new input and an empty journal.

    Attributes:
        payload: the new input, an object by parameter name, as canonical JSON.
        input_hash: the hash of it.
    """

    def __init__(self, payload: bytes, input_hash: str) -> None:
        super().__init__("the run goes on with new input")
        self.payload = payload
        self.input_hash = input_hash
