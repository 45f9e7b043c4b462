-- The least privileges of a relay. They are for a database in which two roles are used:
-- one owns the tables and runs Migrate, the other is that of the relay. The relay can
-- then read and write its tables, and nothing else; it cannot create, change or drop one.
--
-- Run this file once, after the first Migrate, as the role that owns the schema. Tables
-- of later versions get the same privileges by the last statements. Create the roles
-- before, as a superuser:
--
--   create role bridgehead_relay nologin;
--   create role relay login password '...' in role bridgehead_relay;
--   grant pg_read_all_stats to bridgehead_relay;
--
-- With pg_read_all_stats the relay sees the old transactions of other roles, which keep
-- PostgreSQL from removing dead rows, and can warn of them. All else works without it.
--
-- From PostgreSQL 17 on, this lets the relay run VACUUM more often than autovacuum does:
--
--   grant maintain on bridgehead.message to bridgehead_relay;

grant usage on schema bridgehead to bridgehead_relay;
grant select, insert, update, delete on all tables in schema bridgehead to bridgehead_relay;
-- The functions empty_slot and shrink_messages, which give space back to the disk, run with
-- the privileges of their owner.
grant execute on all functions in schema bridgehead to bridgehead_relay;
-- The version of the tables is for Migrate to change.
revoke insert, update, delete on bridgehead.schema_version from bridgehead_relay;

alter default privileges in schema bridgehead
  grant select, insert, update, delete on tables to bridgehead_relay;
alter default privileges in schema bridgehead
  grant execute on functions to bridgehead_relay;
