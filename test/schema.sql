-- What the migrations in sql/ make of an empty database. Written by test/db/schema.test.ts:
-- UPDATE_SCHEMA=1 npm test -- test/db/schema.test.ts

CREATE TABLE public.sms_usage_logs (
  id integer DEFAULT nextval('sms_usage_logs_id_seq'::regclass) NOT NULL,
  user_id integer NOT NULL,
  phone_number character varying(20) NOT NULL,
  message_direction character varying(10) NOT NULL,
  message_length integer NOT NULL,
  message_content text,
  success boolean DEFAULT true,
  processing_time_ms integer,
  error_message text,
  sms_metadata jsonb,
  created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP,
  retry_count integer DEFAULT 0,
  max_retries integer DEFAULT 3,
  next_retry_at timestamp with time zone,
  twilio_message_sid character varying(50),
  final_status character varying(20) DEFAULT 'unknown'::character varying
);

CREATE UNIQUE INDEX idx_sms_usage_logs_idempotency_key_is_unique ON public.sms_usage_logs USING btree (((sms_metadata ->> 'idempotency_key'::text))) WHERE ((sms_metadata ->> 'idempotency_key'::text) IS NOT NULL);

CREATE INDEX idx_sms_usage_logs_in_flight ON public.sms_usage_logs USING btree (final_status, created_at) WHERE ((final_status)::text = ANY ((ARRAY['pending'::character varying, 'submitting'::character varying, 'retrying'::character varying, 'accepted'::character varying, 'scheduled'::character varying, 'queued'::character varying, 'sending'::character varying, 'sent'::character varying])::text[]));

CREATE INDEX idx_sms_usage_logs_phone_number ON public.sms_usage_logs USING btree (phone_number) WHERE ((retry_count > 0) OR ((final_status)::text = ANY ((ARRAY['submitting'::character varying, 'failed'::character varying, 'canceled'::character varying, 'expired'::character varying])::text[])));

CREATE INDEX idx_sms_usage_logs_reconcile ON public.sms_usage_logs USING btree (COALESCE((sms_metadata ->> 'reconcile_at'::text), ''::text) COLLATE "C") WHERE (((final_status)::text = ANY ((ARRAY['pending'::character varying, 'submitting'::character varying, 'retrying'::character varying, 'accepted'::character varying, 'scheduled'::character varying, 'queued'::character varying, 'sending'::character varying, 'sent'::character varying])::text[])) AND ((message_direction)::text <> 'inbound'::text) AND ((COALESCE((sms_metadata ->> 'reconcile_at'::text), ''::text) COLLATE "C") < '9999'::text));

CREATE INDEX idx_sms_usage_logs_retry ON public.sms_usage_logs USING btree (success, next_retry_at) WHERE ((success = false) AND (next_retry_at IS NOT NULL));

CREATE INDEX idx_sms_usage_logs_time ON public.sms_usage_logs USING btree (created_at, id) INCLUDE (final_status, retry_count, user_id, phone_number) WHERE (((message_direction)::text <> 'inbound'::text) AND (((final_status)::text <> 'unknown'::text) OR (twilio_message_sid IS NOT NULL)));

CREATE INDEX idx_sms_usage_logs_trouble ON public.sms_usage_logs USING btree (created_at, id) INCLUDE (final_status) WHERE (((message_direction)::text <> 'inbound'::text) AND (((final_status)::text <> 'unknown'::text) OR (twilio_message_sid IS NOT NULL)) AND ((retry_count > 0) OR ((final_status)::text = ANY ((ARRAY['undelivered'::character varying, 'failed'::character varying, 'expired'::character varying, 'canceled'::character varying, 'retrying'::character varying])::text[]))));

CREATE UNIQUE INDEX idx_sms_usage_logs_twilio_message_sid_is_unique ON public.sms_usage_logs USING btree (twilio_message_sid) WHERE (twilio_message_sid IS NOT NULL);

CREATE UNIQUE INDEX sms_usage_logs_pkey ON public.sms_usage_logs USING btree (id);
