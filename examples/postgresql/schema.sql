-- The tables of a warehouse, and an outbox that a trigger fills: psql --file schema.sql

\set ON_ERROR_STOP 1
BEGIN;

-- The data of the application. Each article belongs to a tenant, which is the customer in protobridge.
CREATE TABLE stock (
    tenant_id text NOT NULL,
    sku text NOT NULL,
    quantity bigint NOT NULL,
    PRIMARY KEY (tenant_id, sku)
);

-- One row per source. The number is a column of the row and no sequence, because a sequence skips numbers after a
-- rollback or a crash. A number that is skipped looks like a heartbeat that was lost.
CREATE TABLE heartbeat (
    source text PRIMARY KEY,
    number bigint NOT NULL,
    sent_at timestamptz NOT NULL
);

CREATE PROCEDURE beat(name text) LANGUAGE sql AS $$
    INSERT INTO heartbeat VALUES (name, 1, clock_timestamp())
    ON CONFLICT (source) DO UPDATE SET number = heartbeat.number + 1, sent_at = clock_timestamp()
$$;

-- The changes that are not sent yet. The reader deletes a row after SQS confirmed its message.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL DEFAULT gen_random_uuid(),
    table_name text NOT NULL,
    operation text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    content jsonb NOT NULL
);

-- Notes a change in the transaction that makes it. Either both are committed or neither is. The function runs with the
-- rights of its owner, so the application needs no right on the outbox.
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO outbox (table_name, operation, content)
    VALUES (TG_TABLE_NAME, TG_OP, to_jsonb(COALESCE(NEW, OLD)));
    RETURN NULL;
END
$$;

CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON stock
    FOR EACH ROW EXECUTE FUNCTION note_change();
CREATE TRIGGER note_change AFTER INSERT OR UPDATE ON heartbeat
    FOR EACH ROW EXECUTE FUNCTION note_change();

-- TRUNCATE calls no trigger of rows, so it would remove rows unnoticed.
CREATE FUNCTION refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of % is not noted in the outbox', TG_TABLE_NAME USING HINT = 'Use DELETE.';
END
$$;

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON stock EXECUTE FUNCTION refuse_truncate();

COMMIT;
