"""Who works for which campaign, with what share of their time and which skills. Part of dialer.models, which re-exports
all of it."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

_LEVEL = [MinValueValidator(1), MaxValueValidator(10)]


class Assignment(models.Model):
    """An agent of a campaign: the rows of DialerCampaign.assigned_agents."""

    campaign = models.ForeignKey(
        "dialer.DialerCampaign", on_delete=models.CASCADE, db_column="dialercampaign_id", related_name="assignments"
    )
    agent = models.ForeignKey("dialer.Agent", on_delete=models.CASCADE, related_name="assignments")
    weight = models.PositiveSmallIntegerField(
        default=10,
        db_default=10,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="Share of the agent's calls against their other campaigns: 30 beside 10 is three in four",
    )

    class Meta:
        db_table = "dialer_dialercampaign_assigned_agents"
        ordering = ["id"]
        unique_together = [("campaign", "agent")]
        constraints = [models.CheckConstraint(condition=Q(weight__gte=1, weight__lte=100), name="assignment_weight")]

    def __str__(self) -> str:
        return f"{self.agent_id} for {self.campaign_id}"


class Skill(models.Model):
    """What an agent can do and a campaign may ask for: a language, a product."""

    code = models.SlugField(max_length=40, unique=True)
    label = models.CharField(max_length=80)

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return self.label


class AgentSkill(models.Model):
    agent = models.ForeignKey("dialer.Agent", on_delete=models.CASCADE, related_name="skills")
    skill = models.ForeignKey(Skill, on_delete=models.CASCADE, related_name="+")
    level = models.PositiveSmallIntegerField(default=5, validators=_LEVEL, help_text="1 to 10")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["agent", "skill"], name="agent_skill_once"),
            models.CheckConstraint(condition=Q(level__gte=1, level__lte=10), name="agent_skill_level"),
        ]

    def __str__(self) -> str:
        return f"{self.skill_id} at {self.level}"


class RequiredSkill(models.Model):
    campaign = models.ForeignKey("dialer.DialerCampaign", on_delete=models.CASCADE, related_name="required_skills")
    skill = models.ForeignKey(Skill, on_delete=models.CASCADE, related_name="+")
    least_level = models.PositiveSmallIntegerField(default=1, validators=_LEVEL, help_text="1 to 10")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "skill"], name="required_skill_once"),
            models.CheckConstraint(condition=Q(least_level__gte=1, least_level__lte=10), name="required_skill_level"),
        ]

    def __str__(self) -> str:
        return f"{self.skill_id} from {self.least_level}"


class Team(models.Model):
    """Agents who belong together; a team supervisor sees and steers only their own teams."""

    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    supervisors = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="supervised_teams",
        help_text="See and steer its agents, their calls, and campaigns for which only agents of their teams work",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
