"""For pages: whether what a link leads to is open to their reader (shown.py)."""

from django import template

from console import shown

register = template.Library()
register.filter("opens", shown.opens)
