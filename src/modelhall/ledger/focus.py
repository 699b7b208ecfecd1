"""A bill in the FinOps Open Cost and Usage Specification, FOCUS 1.0 (focus.finops.org), for the tools that read it.

A row is what one project spent on one thing. Columns that a hall has nothing to say in are there, and empty, as the
specification asks. What a hall has to say beyond them begins with `x_`, as it asks, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

PROVIDER = "Modelhall"
CATEGORY = {"service": "AI and Machine Learning", "model": "AI and Machine Learning", "run": "Compute",
            "node": "Compute"}  # fmt: skip
OTHER = "Other"
COLUMNS = (
    "AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd",
    "ChargePeriodStart", "CommitmentDiscountCategory", "CommitmentDiscountId", "CommitmentDiscountName",
    "CommitmentDiscountStatus", "CommitmentDiscountType", "ConsumedQuantity", "ConsumedUnit", "ContractedCost",
    "ContractedUnitPrice", "EffectiveCost", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory",
    "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "RegionId", "RegionName", "ResourceId",
    "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "SkuId", "SkuPriceId", "SubAccountId",
    "SubAccountName", "Tags", "x_GpuHours",
)  # fmt: skip


def rows(bill: Mapping[str, Any], *, hall: str, project: str | None, now: float) -> Iterable[dict[str, Any]]:
    """A row for each line of a bill, as `app/accounts.py` gives it. `hall` says whose account it is on; the period is
    the bill's, or all until `now`."""
    since = _instant(bill["since"] or 0.0)
    until = _instant(bill["until"] if bill["until"] is not None else now)
    for line in bill["lines"]:
        cost = f"{line['cost_nano'] / 1e9:.9f}"
        yield dict.fromkeys(COLUMNS, "") | {
            "BilledCost": cost, "EffectiveCost": cost, "ListCost": cost, "ContractedCost": cost,
            "BillingAccountId": hall, "BillingAccountName": hall, "BillingCurrency": bill["currency"],
            "BillingPeriodStart": since, "BillingPeriodEnd": until,
            "ChargePeriodStart": since, "ChargePeriodEnd": until,
            "ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based",
            "ChargeDescription": f"{line['energy_j']:.3f} J, {line['co2_g']:.6f} g CO2e, {line['requests']} requests",
            "ConsumedQuantity": f"{line['cpu_s'] / 3600:.9f}", "ConsumedUnit": "Hours",
            "ProviderName": PROVIDER, "PublisherName": PROVIDER, "InvoiceIssuerName": PROVIDER,
            "ResourceId": line["name"], "ResourceName": line["name"].rpartition("/")[2], "ResourceType": bill["by"],
            "ServiceCategory": CATEGORY.get(bill["by"], OTHER), "ServiceName": bill["by"],
            "x_GpuHours": f"{line['gpu_s'] / 3600:.9f}",
            "SubAccountId": project or "", "SubAccountName": project or "",
        }  # fmt: skip


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
