-- What is known about the Twilio account: its recent failures, a hold that they caused, and a pause by a person. All
-- processes share this row. `version` changes with each write.
create table if not exists sms_retry.account_state (
  only_row boolean primary key default true check (only_row),
  version bigint not null default 0,
  failures jsonb not null default '[]',
  working_since timestamptz,
  held_since timestamptz,
  held_code integer,
  lifted_by text,
  probes integer,
  probe_at timestamptz,
  paused_since timestamptz,
  paused_by text,
  paused_reason text
);
insert into sms_retry.account_state default values on conflict do nothing;
