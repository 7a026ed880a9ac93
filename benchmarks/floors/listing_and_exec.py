"""The floor of `rollback`: the same, and the one exec that telling nginx anything takes."""

import sys

import click  # noqa: F401 - its import is what is measured
import docker

address, project = sys.argv[1:]
client = docker.APIClient(base_url=address)
client.containers(all=True, filters={"label": f"io.bluegreen.project={project}"})
test = ["nginx", "-t", "-q", "-e", "stderr", "-c", "/bg/current/nginx.conf"]
complaint = client.exec_start(client.exec_create(f"{project}-proxy", test)["Id"])
if complaint:
    sys.exit(f"nginx -t: {complaint!r}")
