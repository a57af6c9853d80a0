-- A lease as a team would write it in SQL: the visitor's own live lease again, else the number
-- that was released first, with its event in the same transaction.

CREATE TABLE numbers (
  pool        int    NOT NULL,
  number      text   NOT NULL PRIMARY KEY,
  visitor     text,
  deadline    timestamptz NOT NULL DEFAULT '-infinity',
  fence       bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 80);
CREATE INDEX numbers_free ON numbers (pool, deadline);
CREATE INDEX numbers_visitor ON numbers (pool, visitor) WHERE visitor IS NOT NULL;

CREATE TABLE events (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  type    text NOT NULL,
  number  text NOT NULL,
  visitor text NOT NULL,
  data    jsonb NOT NULL,
  at      timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION lease(in_pool int, in_visitor text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  found text;
BEGIN
  UPDATE numbers SET deadline = now() + interval '1 day'
    WHERE pool = in_pool AND visitor = in_visitor AND deadline > now()
    RETURNING number INTO found;
  IF found IS NOT NULL THEN
    RETURN found;
  END IF;
  SELECT number INTO found FROM numbers
    WHERE pool = in_pool AND deadline <= now()
    ORDER BY deadline LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF found IS NULL THEN
    RAISE EXCEPTION 'the pool ran dry';
  END IF;
  UPDATE numbers
    SET visitor = in_visitor, deadline = now() + interval '1 day', fence = fence + 1
    WHERE number = found;
  INSERT INTO events (type, number, visitor, data) VALUES (
    'number.assigned', found, in_visitor,
    '{"url": "https://shop.example/spring?utm_source=mail", "utm_source": "mail"}'
  );
  RETURN found;
END $$;

-- Fill the pool, lease numbers to the visitors the renewals will be of.
CREATE FUNCTION stock(size int, visitors int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO numbers (pool, number, deadline)
    SELECT 1, '+1212' || (2000000 + at), '2020-01-01'::timestamptz + at * interval '1 second'
    FROM generate_series(1, size) AS at;
  PERFORM lease(1, 'known-' || at) FROM generate_series(1, visitors) AS at;
  ANALYZE numbers;
END $$;
