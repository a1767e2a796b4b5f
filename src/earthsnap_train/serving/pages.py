"""The pages for people: one to try the release, one that documents the routes. Each is one file and loads nothing."""

from fastapi import FastAPI

from earthsnap_train.serving.service import Service


def add_pages(app: FastAPI, service: Service) -> None:
    """``GET /`` and ``GET /docs``."""
