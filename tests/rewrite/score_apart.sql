-- an aggregate over one table
SELECT avg(PREDICT('pair', a, b)) AS m FROM t;
-- becomes
SELECT avg("scoter_apart_0_0") AS m FROM (SELECT PREDICT('pair', a, b) AS "scoter_apart_0_0", 'apart' AS mark FROM t) AS "t";
-- same as
SELECT avg(a + 10 * b) FROM t;
-- scored 5

-- the filter goes along
SELECT id, PREDICT('pair', a, b) AS s FROM t WHERE c > 5 AND id < 5;
-- becomes
SELECT id, "scoter_apart_0_0" AS s FROM (SELECT "t"."id", PREDICT('pair', a, b) AS "scoter_apart_0_0", 'apart' AS mark FROM t WHERE c > 5 AND id < 5) AS "t";
-- scored 4

-- equal calls are one
SELECT PREDICT('pair', a, b) + PREDICT('pair', a, b) AS s, max(id) OVER () AS m FROM t;
-- becomes
SELECT "scoter_apart_0_0" + "scoter_apart_0_0" AS s, max(id) OVER () AS m FROM (SELECT "t"."id", PREDICT('pair', a, b) AS "scoter_apart_0_0", 'apart' AS mark FROM t) AS "t";
-- scored 5

-- two models and columns of the table, qualified and not
SELECT x.id, PREDICT('pair', x.a, b) AS p, PREDICT('linear', x.a, x.b) AS q FROM t AS x ORDER BY q, x.c;
-- becomes
SELECT x.id, "scoter_apart_0_0" AS p, "scoter_apart_0_1" AS q FROM (SELECT "x"."id", "x"."c", PREDICT('pair', x.a, b) AS "scoter_apart_0_0", PREDICT('linear', x.a, x.b) AS "scoter_apart_0_1", 'apart' AS mark FROM t AS x) AS "x" ORDER BY q, x.c;
-- scored 10

-- a star
SELECT *, PREDICT('pair', a, b) AS s FROM t;
-- becomes
SELECT * EXCLUDE ("scoter_apart_0_0"), "scoter_apart_0_0" AS s FROM (SELECT *, PREDICT('pair', a, b) AS "scoter_apart_0_0", 'apart' AS mark FROM t) AS "t";
-- scored 5

-- a star beside a count
SELECT count(*) AS n, sum(PREDICT('pair', a, b)) AS s FROM t;
-- becomes
SELECT count(*) AS n, sum("scoter_apart_0_0") AS s FROM (SELECT PREDICT('pair', a, b) AS "scoter_apart_0_0", 'apart' AS mark FROM t) AS "t";
-- scored 5

-- the row of the table
SELECT x.id, PREDICT('named', x) AS s FROM t AS x;
-- becomes
SELECT x.id, "scoter_apart_0_0" AS s FROM (SELECT "x"."id", PREDICT('named', x) AS "scoter_apart_0_0", 'apart' AS mark FROM t AS x) AS "x";
-- scored 5

-- grouped by the prediction
SELECT PREDICT('pair', a, b) AS p, count(*) AS n FROM t GROUP BY PREDICT('pair', a, b) HAVING count(*) > 0;
-- becomes
SELECT "scoter_apart_0_0" AS p, count(*) AS n FROM (SELECT PREDICT('pair', a, b) AS "scoter_apart_0_0", 'apart' AS mark FROM t) AS "t" GROUP BY "scoter_apart_0_0" HAVING count(*) > 0;
-- scored 5

-- grouped by columns, predicted in an aggregate
SELECT c, max(PREDICT('pair', a, b)) AS p FROM t GROUP BY c;
-- becomes
SELECT c, max("scoter_apart_0_0") AS p FROM (SELECT "t"."c", PREDICT('pair', a, b) AS "scoter_apart_0_0", 'apart' AS mark FROM t) AS "t" GROUP BY c;
-- scored 5

-- a CTE stays, for who reads it may need few rows
WITH x AS (SELECT id, PREDICT('pair', a, b) AS p FROM t), y AS (SELECT * FROM x WHERE id = 5) SELECT id, p FROM y;
-- becomes
WITH x AS (SELECT id, PREDICT('pair', a, b) AS p FROM t), y AS (SELECT * FROM x WHERE id = 5) SELECT id, p FROM y;
-- scored 1

-- a subquery stays, for its scores may not be read
SELECT max(id) AS n FROM (SELECT id, PREDICT('pair', a, b) AS p FROM t) AS q;
-- becomes
SELECT max(id) AS n FROM (SELECT id, PREDICT('pair', a, b) AS p FROM t) AS q;
-- scored 0

-- a set operation with a limit stays
SELECT PREDICT('pair', a, b) AS p FROM t UNION ALL SELECT PREDICT('linear', a, b) FROM t ORDER BY p LIMIT 2;
-- becomes
SELECT PREDICT('pair', a, b) AS p FROM t UNION ALL SELECT PREDICT('linear', a, b) AS "predict('linear', a, b)" FROM t ORDER BY p LIMIT 2;
-- scored 10

-- calls on random numbers stay: two of them are two
SELECT id, PREDICT('pair', a, round(random())) * 0 AS p FROM t;
-- becomes
SELECT id, PREDICT('pair', a, ROUND(RANDOM())) * 0 AS p FROM t;
-- scored 5

-- a column by its position stays
SELECT max(#1) AS n, max(PREDICT('pair', a, b)) AS p FROM t WHERE c > 5;
-- becomes
SELECT max(#1) AS n, max(PREDICT('pair', a, b)) AS p FROM t WHERE c > 5;
-- scored 4

-- another filter around it would spare rows the scoring
SELECT * FROM (SELECT id, PREDICT('pair', a, b) AS p FROM t) AS q WHERE id = 5 AND p > 4;
-- becomes
SELECT * FROM (SELECT id, PREDICT('pair', a, b) AS p FROM t) AS q WHERE id = 5 AND p > 4;
-- scored 2

-- so would a join
WITH s AS (SELECT id, PREDICT('pair', a, b) AS p FROM t) SELECT s.p, u.d FROM s JOIN u ON u.id = s.id;
-- becomes
WITH s AS (SELECT id, PREDICT('pair', a, b) AS p FROM t) SELECT s.p, u.d FROM s JOIN u ON u.id = s.id;
-- scored 2

-- both sides of a set operation
SELECT PREDICT('pair', a, b) AS p FROM t UNION ALL SELECT PREDICT('linear', a, b) FROM t;
-- becomes
SELECT "scoter_apart_0_0" AS p FROM (SELECT PREDICT('pair', a, b) AS "scoter_apart_0_0", 'apart' AS mark FROM t) AS "t" UNION ALL SELECT "scoter_apart_1_0" AS "predict('linear', a, b)" FROM (SELECT PREDICT('linear', a, b) AS "scoter_apart_1_0", 'apart' AS mark FROM t) AS "t";
-- scored 10

-- a conditional call stays, for it may not see every row
SELECT CASE WHEN a > 1 THEN PREDICT('pair', a, b) END AS p FROM t;
-- becomes
SELECT CASE WHEN a > 1 THEN PREDICT('pair', a, b) END AS p FROM t;
-- scored 2

-- so does one behind AND
SELECT a > 1 AND PREDICT('pair', a, b) > 4 AS p FROM t;
-- becomes
SELECT a > 1 AND PREDICT('pair', a, b) > 4 AS p FROM t;
-- scored 5

-- or in an aggregate's FILTER
SELECT sum(a) FILTER (WHERE PREDICT('pair', a, b) > 4) AS p FROM t;
-- becomes
SELECT sum(a) FILTER(WHERE PREDICT('pair', a, b) > 4) AS p FROM t;
-- scored 5

-- a call in the filter stays
SELECT id FROM t WHERE PREDICT('pair', a, b) > 4;
-- becomes
SELECT id FROM t WHERE PREDICT('pair', a, b) > 4;
-- scored 5

-- joined tables stay
SELECT t.id, PREDICT('pair', t.a, u.d) AS p FROM t JOIN u ON u.id = t.id;
-- becomes
SELECT t.id, PREDICT('pair', t.a, u.d) AS p FROM t JOIN u ON u.id = t.id;
-- scored 3

-- a filter with a subquery stays
SELECT id, PREDICT('pair', a, b) AS p FROM t WHERE id IN (SELECT id FROM u);
-- becomes
SELECT id, PREDICT('pair', a, b) AS p FROM t WHERE id IN (SELECT id FROM u);
-- scored 2

-- a limit without an order stays
SELECT count(*) AS n FROM (SELECT PREDICT('pair', a, b) AS p FROM t LIMIT 2) AS q;
-- becomes
SELECT count(*) AS n FROM (SELECT PREDICT('pair', a, b) AS p FROM t LIMIT 2) AS q;
-- scored 0

-- an argument that is an alias stays
SELECT a + 1 AS z, PREDICT('pair', z, b) AS p FROM t;
-- becomes
SELECT a + 1 AS z, PREDICT('pair', z, b) AS p FROM t;
-- scored 5

-- an argument that is an aggregate stays
SELECT PREDICT('pair', max(a), max(b)) AS p FROM t;
-- becomes
SELECT PREDICT('pair', max(a), max(b)) AS p FROM t;
-- scored 1

-- constant arguments stay
SELECT PREDICT('pair', 1, 2) AS p FROM t;
-- becomes
SELECT PREDICT('pair', 1, 2) AS p FROM t;
-- scored 1

-- a correlated subquery stays
SELECT id, (SELECT max(PREDICT('pair', t.a, u.d)) FROM u) AS p FROM t;
-- becomes
SELECT id, (SELECT max(PREDICT('pair', t.a, u.d)) AS "max(predict('pair', t.a, u.d))" FROM u) AS p FROM t;
-- scored 20

-- a part of a grouped expression
SELECT PREDICT('pair', a, b) + 1 AS p FROM t GROUP BY ALL;
-- becomes
SELECT "scoter_apart_0_0" + 1 AS p FROM (SELECT PREDICT('pair', a, b) AS "scoter_apart_0_0", 'apart' AS mark FROM t) AS "t" GROUP BY ALL;
-- scored 5
