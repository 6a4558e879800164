-- every function of the session
SELECT user(), current_user(), session_user(), current_schema(), current_catalog(), current_database(), version();
-- becomes
SELECT CAST('duckdb' AS VARCHAR), CAST('duckdb' AS VARCHAR), CAST('duckdb' AS VARCHAR), CAST('main' AS VARCHAR), CAST('lake' AS VARCHAR), CAST('lake' AS VARCHAR), CAST('v2' AS VARCHAR);
-- same as
SELECT 'duckdb', 'duckdb', 'duckdb', 'main', 'lake', 'lake', 'v2';

-- the words without parentheses keep their names
SELECT user, current_user, session_user, current_schema, current_catalog, upper(user) AS u;
-- becomes
SELECT CAST('duckdb' AS VARCHAR) AS "user", CAST('duckdb' AS VARCHAR) AS "current_user", CAST('duckdb' AS VARCHAR) AS "session_user", CAST('main' AS VARCHAR) AS "current_schema", CAST('lake' AS VARCHAR) AS "current_catalog", upper(CAST('duckdb' AS VARCHAR)) AS u;

-- the words of the clock become calls, quoted ones too
SELECT current_date = "current_date" AS a, localtimestamp = current_localtimestamp() AS b, current_time IS NULL AS c;
-- becomes
SELECT current_date() = current_date() AS a, current_localtimestamp() = current_localtimestamp() AS b, get_current_time() IS NULL AS c;

-- where they group, order and filter
SELECT current_user, count(*) AS n FROM t WHERE current_schema = 'main' GROUP BY current_user ORDER BY current_user;
-- becomes
SELECT CAST('duckdb' AS VARCHAR) AS "current_user", count(*) AS n FROM t WHERE CAST('main' AS VARCHAR) = 'main' GROUP BY CAST('duckdb' AS VARCHAR) ORDER BY CAST('duckdb' AS VARCHAR);

-- a name in the statement that a column could have leaves the word to DuckDB
SELECT user, current_date FROM (SELECT 1 AS user, 2 AS current_date);
-- becomes
SELECT user, "current_date" FROM (SELECT 1 AS user, 2 AS current_date);

-- a whole row, a lambda's variable, a pivoted value, a field
SELECT list_transform([1], lambda user: user + 1) AS l, (SELECT s FROM (SELECT unnest({'current_user': 7}, recursive := true)) AS q(s)) AS c FROM t AS current_schema WHERE current_schema IS NOT NULL;
-- becomes
SELECT list_transform([1], lambda user: user + 1) AS l, (SELECT s FROM (SELECT unnest({'current_user': 7}, recursive := true)) AS q(s)) AS c FROM t AS current_schema WHERE current_schema IS NOT NULL;

-- an alias of the same name means the same value
SELECT current_user AS current_user, s.current_user AS x FROM (SELECT current_user) AS s;
-- becomes
SELECT CAST('duckdb' AS VARCHAR) AS current_user, s.current_user AS x FROM (SELECT CAST('duckdb' AS VARCHAR) AS "current_user") AS s;
