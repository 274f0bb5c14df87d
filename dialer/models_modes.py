"""How a campaign dials, as rows people edit. Part of dialer.models, which re-exports it."""

import os
import uuid
import wave
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.storage import FileSystemStorage
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.deconstruct import deconstructible

LONGEST_MESSAGE_SECONDS = 60
SMALLEST_RATIO, LARGEST_RATIO = Decimal(1), Decimal(10)
RATIO_VALIDATORS = [MinValueValidator(SMALLEST_RATIO), MaxValueValidator(LARGEST_RATIO)]


class DialingMode(models.TextChoices):
    """Who places the calls, and how far ahead of the agents."""

    PREVIEW = "preview"
    PROGRESSIVE = "progressive"
    POWER = "power"
    PREDICTIVE = "predictive"
    MANUAL = "manual"


class PreviewEnd(models.TextChoices):
    RETURN = "return", "give the contact back"
    DIAL = "dial", "dial it"


class MachineAction(models.TextChoices):
    OFF = "off", "treat it as a person"
    HANG_UP = "hang_up", "hang up"
    LEAVE_MESSAGE = "leave_message", "leave a message after the beep"


class Recording(models.TextChoices):
    OFF = "off"
    ON = "on"
    PAUSED = "paused"


# Modes that place calls before an agent is reserved for them; the others cannot abandon anybody.
DIALS_AHEAD = (DialingMode.POWER, DialingMode.PREDICTIVE)


@deconstructible
class MessageStorage(FileSystemStorage):
    """Where the switch reads messages: settings.MESSAGES_DIR, the same folder for both."""

    @property
    def base_location(self) -> str:
        return str(settings.MESSAGES_DIR)

    @property
    def location(self) -> str:
        return os.path.abspath(self.base_location)

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """The name asked for, taken or not: the switch would go on playing what has the name already."""
        return name

    def _save(self, name: str, content: Any) -> str:
        """Written beside it and then put in its place: the switch reads the old sound or the new one, never half."""
        written = f".{uuid.uuid4().hex}.new"
        try:
            super()._save(written, content)
            os.replace(self.path(written), self.path(name))
        except BaseException:
            self.delete(written)
            raise
        return name


def message_path(message: "Message", filename: str) -> str:
    """Our own uuid: no text of anybody's becomes part of a command to the switch."""
    return f"{message.message_id}.wav"


def check_wav(file: Any) -> None:
    """Raises ValidationError unless it is a WAV file of PCM sound, of LONGEST_MESSAGE_SECONDS at most."""
    try:
        file.seek(0)
        with wave.open(file) as sound:
            seconds = sound.getnframes() / sound.getframerate()
    except (wave.Error, EOFError, ZeroDivisionError, OSError) as error:
        raise ValidationError(f"This is no WAV file of plain PCM sound ({error or 'it is cut off'}).") from None
    finally:
        file.seek(0)
    if not 0.5 <= seconds <= LONGEST_MESSAGE_SECONDS:
        raise ValidationError(
            f"The message is {seconds:.1f} s long; half a second to {LONGEST_MESSAGE_SECONDS} s is allowed."
        )


class Message(models.Model):
    """A recorded message: what a customer hears for whom no agent was free (the safe-harbour message)."""

    message_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=120, unique=True)
    text = models.TextField(
        help_text="What is said, word for word: who calls, the number, and how to be called no more (47 CFR 64.1200)"
    )
    file = models.FileField(
        storage=MessageStorage(), upload_to=message_path, validators=[check_wav], help_text="WAV, 60 s at most"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_recorded(self) -> bool:
        """Whether the sound is where the switch looks for it. Under another name it is not what customers would hear:
        where one was saved again before messages kept their name, the switch has the old one. Asked with every
        decision: one look at the folder."""
        name = message_path(self, "")
        return self.file.name == name and self.file.storage.exists(name)
