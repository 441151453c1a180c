-- The role that Grafana reads with. Runs after every migration; doing it again changes nothing.
\set ON_ERROR_STOP on
\set password `cat /run/secrets/reader_password`
SELECT 'CREATE ROLE byline_reader LOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'byline_reader') \gexec
ALTER ROLE byline_reader PASSWORD :'password' CONNECTION LIMIT 10;
ALTER ROLE byline_reader SET default_transaction_read_only = on;
ALTER ROLE byline_reader SET statement_timeout = '20s';
GRANT USAGE ON SCHEMA public TO byline_reader;
GRANT SELECT ON
    events, policies, statement_runs, run_steps, statement_lines, ledger_entries, event_claims, usage, aliases, index_versions
TO byline_reader;
GRANT SELECT (id, name, person) ON keys TO byline_reader;
