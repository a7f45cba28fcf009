-- The settings on which all running processes must agree. A process of an older version leaves it empty.
alter table sms_retry.instance add column if not exists settings jsonb not null default '{}';
