"""How QGIS's own forms and tools fill the fields of a session's layers."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from qgis.core import (
    Qgis,
    QgsDefaultValue,
    QgsEditFormConfig,
    QgsEditorWidgetSetup,
    QgsFieldConstraints,
    QgsValueMapFieldFormatter,
    QgsVectorLayer,
)

from ... import review_session as form
from ...processing_provider.layers import STYLES

DOMAINS = STYLES.parent / "inventory" / "domains.json"
"""Values of the attributes that have a fixed choice, by :func:`domain_of`."""
ATTRIBUTE_NAMES = tuple(name for name, _ in form.ATTRIBUTES)
OUTLINE_FIELD = "uid"


def read_domains() -> dict[str, dict[str, Any]]:
    """:data:`DOMAINS`."""
    with open(DOMAINS, encoding="utf-8") as file:
        return json.load(file)


def domain_of(name: str) -> str:
    """The name of an attribute's domain, which need not be there."""
    return "reliability" if name.startswith("reliability_") else name


def set_up_fields(outlines: QgsVectorLayer, restricted: QgsVectorLayer, operator: str) -> None:
    """Choices, values of new outlines and of parts, whatever tool makes them, and no form that opens by itself."""
    domains = read_domains() | {"status": {"values": form.STATUSES}, "reason": {"values": form.REASONS}}
    for name in (*ATTRIBUTE_NAMES, "status", "reason"):
        index = outlines.fields().lookupField(name)
        domain = domains.get(domain_of(name))
        if index < 0 or domain is None:
            continue
        choices: list[dict[str, Any]] = [{"": QgsValueMapFieldFormatter.NULL_VALUE}] if name != "status" else []
        choices += [{str(label): value} for label, value in zip(domain.get("labels", domain["values"]), domain["values"])]
        outlines.setEditorWidgetSetup(index, QgsEditorWidgetSetup("ValueMap", {"map": choices}))
    defaults = {
        OUTLINE_FIELD: "uuid('WithoutBraces')",
        "status": "'added'",
        "source": "'added'",
        "relation": "'added'",
        "reviewer": _quoted(operator),
        "reviewed_at": utc_expression(),
    }
    own = {*defaults, "parent"}
    for name in own:
        index = outlines.fields().lookupField(name)
        if name in defaults:
            outlines.setDefaultValueDefinition(index, QgsDefaultValue(defaults[name]))
        if name not in ("source", "relation"):
            outlines.setFieldSplitPolicy(index, Qgis.FieldDomainSplitPolicy.DefaultValue)
        if hasattr(outlines, "setFieldDuplicatePolicy"):
            outlines.setFieldDuplicatePolicy(index, Qgis.FieldDuplicatePolicy.DefaultValue)
    uid = outlines.fields().lookupField(OUTLINE_FIELD)
    outlines.setFieldConstraint(uid, QgsFieldConstraints.Constraint.ConstraintUnique)
    for one in (outlines, restricted):
        config = one.editFormConfig()
        config.setReadOnly(one.fields().lookupField(OUTLINE_FIELD), True)
        config.setSuppress(QgsEditFormConfig.FeatureFormSuppress.SuppressOn)
        one.setEditFormConfig(config)


def utc_expression() -> str:
    """The time in UTC as an expression; QGIS has none for UTC, so it is made anew when clocks change."""
    behind = -round(datetime.now().astimezone().utcoffset().total_seconds())
    now = f"(now() + to_interval('{behind} seconds'))"
    return f"format_date({now}, 'yyyy-MM-dd') || 'T' || format_date({now}, 'HH:mm:ss.zzz') || 'Z'"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
