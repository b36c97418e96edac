"""The file of a policy, followed while it is edited: a broken one changes nothing."""

from pathlib import Path

from features.errors import InputError
from features.yaml_fields import read_text
from monitoring.drift.journal import Journal
from monitoring.response.delivery import unset
from monitoring.response.parse import parse_policy
from monitoring.response.policy import Policy


class PolicyFile:
    """The policy that is in force."""

    def __init__(self, path: Path, journal: Journal) -> None:
        """Read it; raise `InputError` with a line for each mistake."""
        self._path = path
        self._journal = journal
        self._text = read_text(path)
        self._policy = self._parsed(self._text)
        self._refused: str | None = None
        self._why: str | None = None

    @property
    def is_valid(self) -> bool:
        """Tell whether the policy in force is that of the file."""
        return self._why is None

    def follow(self) -> Policy:
        """Return the policy of the file as it is now, else the last that could be used."""
        try:
            text = read_text(self._path)
            if text != self._refused:
                self._take(text)
        except InputError as error:
            self._refuse(str(error))
        return self._policy

    def _take(self, text: str) -> None:
        if text != self._text:
            self._refused = text
            self._policy = self._parsed(text)
            self._journal.tell("policy", file=str(self._path), rules=len(self._policy.rules))
        self._text, self._refused, self._why = text, None, None

    def _parsed(self, text: str) -> Policy:
        policy = parse_policy(text, str(self._path))
        for channel, variable in unset(policy.channels):
            self._journal.tell("channel cannot tell", channel=channel, unset=variable)
        return policy

    def _refuse(self, why: str) -> None:
        if why != self._why:
            self._why = why
            self._journal.tell("policy not used", reason=why)
