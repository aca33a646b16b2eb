"""The errors a user may see: one plain sentence that says what happened and what to do instead."""


class LadnnError(Exception):
    """Something the user can act on; its text is one sentence, shown without a traceback."""


class ImageError(LadnnError):
    """A file that cannot be read as an image within the limits."""


class DataError(LadnnError):
    """A manifest, a label, a split or a dataset folder that does not hold."""


class WeightsError(LadnnError):
    """Weights that are missing, truncated or made for another network."""


class BundleError(LadnnError):
    """A bundle that is missing, altered or of another schema."""


class ConfigError(LadnnError):
    """A configuration that names an unknown key or an impossible value."""


class RegistryError(LadnnError):
    """A version that is not there, altered, or cannot take the step that was asked for."""


class DamagedError(RegistryError):
    """A file of a version that is missing or was altered; other versions may be sound."""


class OvertakenError(RegistryError):
    """Another champion by now than the one that a change was decided on.

    Attributes:
        champion: its label; empty where there is none.
    """

    def __init__(self, text: str, champion: str) -> None:
        super().__init__(text)
        self.champion = champion


class UnreachableError(RegistryError):
    """A registry whose files cannot be reached just now; the same may well succeed later."""


def shown_name(name: str) -> str:
    """A file's name as a sentence shows it: printable, and the end of a long one."""
    shown = "".join(c if c.isprintable() else "?" for c in name)
    return f"...{shown[-200:]}" if len(shown) > 200 else shown


class RemoteError(LadnnError):
    """A site that cannot be reached, or that refuses what it was asked."""
