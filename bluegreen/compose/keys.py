"""The keys of a Compose file: what bluegreen carries out, and what it knows but does not.

The second group comes from the Compose specification, so that a key which is right for Compose is told
from a misspelt one.
"""

from __future__ import annotations

TOP = ("name", "version", "services", "networks", "volumes", "secrets", "configs")
TOP_KNOWN = ("include", "models")
TOP_HINTS = {
    "include": "put the included services into this file",
    "proxy": "it belongs under x-bluegreen",
    "keep": "it belongs under x-bluegreen",
    "smoke": "it belongs under x-bluegreen",
}

SERVICE = (
    "image", "build", "command", "entrypoint", "environment", "env_file", "depends_on", "healthcheck",
    "volumes", "tmpfs", "networks", "ports", "expose", "secrets", "configs", "restart", "user",
    "working_dir", "init", "read_only", "cap_add", "cap_drop", "stop_signal", "stop_grace_period",
    "deploy", "mem_limit", "cpus", "labels", "extra_hosts", "logging",
)  # fmt: skip
SERVICE_KNOWN = (
    "annotations", "attach", "blkio_config", "cgroup", "cgroup_parent", "container_name", "cpu_count",
    "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpuset",
    "credential_spec", "develop", "device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search",
    "domainname", "extends", "external_links", "gpus", "group_add", "hostname", "ipc", "isolation",
    "label_file", "links", "mac_address", "mem_reservation", "mem_swappiness", "memswap_limit", "models",
    "network_mode", "oom_kill_disable", "oom_score_adj", "pid", "pids_limit", "platform", "post_start",
    "pre_stop", "privileged", "profiles", "provider", "pull_policy", "runtime", "scale", "security_opt",
    "shm_size", "stdin_open", "storage_opt", "sysctls", "tty", "ulimits", "use_api_socket", "userns_mode",
    "uts", "volumes_from",
)  # fmt: skip
_EXTENSION = "it belongs under x-bluegreen"
SERVICE_HINTS = {
    "container_name": "the service runs in two slots at once, and one name can't be given to two containers; "
    "remove it, other services reach this one by its service name",
    "hostname": "replicas and slots would all have it; remove it",
    "network_mode": "each slot has its own network; write the networks to join under 'networks'",
    "links": "services reach each other by their names; remove it, and use 'depends_on' for the order",
    "scale": "write deploy.replicas instead",
    "pids_limit": "write deploy.resources.limits.pids instead",
    "mem_reservation": "write deploy.resources.reservations.memory instead",
    "extends": "use a YAML anchor and <<",
    "label_file": "write the labels under 'labels'",
    "profiles": "every service of the file is part of a release; put optional ones into another file",
    "replicas": "it belongs under deploy",
    "resources": "it belongs under deploy",
    "route": _EXTENSION,
    "routed": _EXTENSION,
    "port": f"{_EXTENSION}, or did you mean 'ports'?",
    "health": f"{_EXTENSION}, or did you mean 'healthcheck'?",
    "internal": _EXTENSION,
    "worker": _EXTENSION,
    "job": _EXTENSION,
    "shared": _EXTENSION,
    "shared_volume": _EXTENSION,
    "context": "it belongs under build",
    "dockerfile": "it belongs under build",
    "args": "it belongs under build",
    "memory": "write mem_limit, or deploy.resources.limits.memory",
}

BUILD = (
    "context", "dockerfile", "dockerfile_inline", "args", "target", "labels", "network", "extra_hosts",
    "shm_size", "pull", "no_cache",
)  # fmt: skip
BUILD_KNOWN = (
    "additional_contexts", "cache_from", "cache_to", "entitlements", "isolation", "platforms", "privileged",
    "provenance", "sbom", "secrets", "ssh", "tags", "ulimits",
)  # fmt: skip
BUILD_HINTS = {"tags": "the image is tagged with the release's TAG"}

DEPLOY = ("replicas", "resources")
DEPLOY_KNOWN = (
    "endpoint_mode", "labels", "mode", "placement", "restart_policy", "rollback_config", "update_config",
)  # fmt: skip
DEPLOY_HINTS = {
    "restart_policy": "write the service's 'restart' instead",
    "update_config": "two slots take its place",
    "rollback_config": "two slots take its place",
}
LIMITS = ("cpus", "memory", "pids")
RESERVATIONS = ("cpus", "memory")
RESERVATIONS_KNOWN = ("devices", "generic_resources")

HEALTHCHECK = ("test", "interval", "timeout", "retries", "start_period", "start_interval", "disable")
LOGGING = ("driver", "options")
DEPENDENCY = ("condition", "restart", "required")
ENV_FILE = ("path", "required", "format")
GRANT = ("source", "target", "uid", "gid", "mode")
PORT = ("target", "published", "host_ip", "protocol", "mode", "app_protocol", "name")

MOUNT = ("type", "source", "target", "read_only", "bind", "volume", "tmpfs", "consistency")
MOUNT_KNOWN = ("image",)
MOUNT_BIND = ("create_host_path", "propagation", "selinux")
MOUNT_BIND_KNOWN = ("recursive",)
MOUNT_VOLUME = ("nocopy",)
MOUNT_VOLUME_KNOWN = ("labels", "subpath")
MOUNT_TMPFS = ("size", "mode")

MEMBERSHIP = ("aliases",)
MEMBERSHIP_KNOWN = (
    "driver_opts", "gw_priority", "interface_name", "ipv4_address", "ipv6_address", "link_local_ips",
    "mac_address", "priority",
)  # fmt: skip
_ADDRESS = "a service that runs in two slots can't have one address; use its name"
MEMBERSHIP_HINTS = {"ipv4_address": _ADDRESS, "ipv6_address": _ADDRESS, "mac_address": _ADDRESS}

NETWORK = ("name", "driver", "driver_opts", "external", "internal", "attachable", "labels", "ipam")
NETWORK_KNOWN = ("enable_ipv4", "enable_ipv6")
IPAM = ("driver", "config", "options")
IPAM_CONFIG = ("subnet", "ip_range", "gateway", "aux_addresses")
VOLUME = ("name", "driver", "driver_opts", "external", "labels")
SECRET = ("file", "environment", "external", "name", "labels")
SECRET_KNOWN = ("driver", "driver_opts", "template_driver")
SECRET_HINTS = {"content": "only a config may have its content in the file; write file: or environment:"}
CONFIG = ("file", "environment", "content", "external", "name", "labels")
CONFIG_KNOWN = ("template_driver",)
