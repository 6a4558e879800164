-- every spelling of the instant
SELECT now(), current_timestamp, get_current_timestamp(), transaction_timestamp();
-- becomes
SELECT CAST('2024-02-29 23:30:00.123456+00:00' AS TIMESTAMPTZ), CAST('2024-02-29 23:30:00.123456+00:00' AS TIMESTAMPTZ), CAST('2024-02-29 23:30:00.123456+00:00' AS TIMESTAMPTZ), CAST('2024-02-29 23:30:00.123456+00:00' AS TIMESTAMPTZ);

-- the date in the session's time zone, which is a day ahead
SELECT current_date, today(), current_date + 1;
-- becomes
SELECT CAST('2024-03-01' AS DATE), CAST('2024-03-01' AS DATE), CAST('2024-03-01' AS DATE) + 1;

-- the time of day in the session's time zone
SELECT localtime, current_localtime(), localtimestamp, current_localtimestamp();
-- becomes
SELECT CAST('00:30:00.123456' AS TIME), CAST('00:30:00.123456' AS TIME), CAST('2024-03-01 00:30:00.123456' AS TIMESTAMP), CAST('2024-03-01 00:30:00.123456' AS TIMESTAMP);

-- inside filters, subqueries, CTEs and aggregates
WITH w AS (SELECT now() AS moment) SELECT count(*), max(moment = (SELECT now())) FROM w WHERE moment <= now() GROUP BY now() HAVING max(moment) = now() ORDER BY now();
-- becomes
WITH w AS (SELECT CAST('2024-02-29 23:30:00.123456+00:00' AS TIMESTAMPTZ) AS moment) SELECT count(*), max(moment = (SELECT CAST('2024-02-29 23:30:00.123456+00:00' AS TIMESTAMPTZ))) FROM w WHERE moment <= CAST('2024-02-29 23:30:00.123456+00:00' AS TIMESTAMPTZ) GROUP BY CAST('2024-02-29 23:30:00.123456+00:00' AS TIMESTAMPTZ) HAVING max(moment) = CAST('2024-02-29 23:30:00.123456+00:00' AS TIMESTAMPTZ) ORDER BY CAST('2024-02-29 23:30:00.123456+00:00' AS TIMESTAMPTZ);

-- inside a lambda and a function
SELECT list_transform([1, 2], lambda x: date_diff('day', now(), now()) + x), coalesce(NULL, now());
-- becomes
SELECT list_transform([1, 2], lambda x: date_diff('day', CAST('2024-02-29 23:30:00.123456+00:00' AS TIMESTAMPTZ), CAST('2024-02-29 23:30:00.123456+00:00' AS TIMESTAMPTZ)) + x), coalesce(NULL, CAST('2024-02-29 23:30:00.123456+00:00' AS TIMESTAMPTZ));

-- a column of that name is no call
SELECT "now", today FROM (SELECT 1 AS "now", 2 AS today) AS q;
-- becomes
SELECT "now", today FROM (SELECT 1 AS "now", 2 AS today) AS q;

-- a text of that name is no call
SELECT 'now()', 5 AS now;
-- becomes
SELECT 'now()', 5 AS now;
