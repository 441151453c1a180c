"""The service's fixtures serve here, too: a running application, and a real PostgreSQL."""

from tests.service.conftest import migrated_template, postgres, serve, served

__all__ = ["migrated_template", "postgres", "serve", "served"]
