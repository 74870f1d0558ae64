"""What a Grafana of one's own is told, so that it shows a dashboard without anybody clicking.

Formats: https://grafana.com/docs/grafana/latest/administration/provisioning/, and for the variables
https://grafana.com/docs/grafana/latest/setup-grafana/configure-grafana/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def provisioning(prometheus: str, dashboards: Path) -> dict[str, dict[str, Any]]:
    """Return files of the folder of provisioning, by their names in it: the data source, and where dashboards lie."""
    source = {
        "name": "Prometheus", "type": "prometheus", "uid": "dsvc-prometheus", "access": "proxy", "url": prometheus,
        "isDefault": True,
    }  # fmt: skip
    provider = {"name": "dsvc", "type": "file", "folder": "", "options": {"path": str(dashboards)}}
    return {
        "datasources/dsvc.yml": {"apiVersion": 1, "datasources": [source]},
        "dashboards/dsvc.yml": {"apiVersion": 1, "providers": [provider]},
    }


def variables(folder: Path, port: int) -> dict[str, str]:
    """Return the variables of a Grafana that keeps everything in a folder and lets whoever is here look."""
    return {
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_PATHS_DATA": str(folder / "data"),
        "GF_PATHS_LOGS": str(folder / "logs"),
        "GF_PATHS_PLUGINS": str(folder / "plugins"),
        "GF_PATHS_PROVISIONING": str(folder / "provisioning"),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Admin",
        "GF_AUTH_DISABLE_LOGIN_FORM": "true",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
    }
