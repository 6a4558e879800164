-- in the filter and the select list of one table
SELECT id, PREDICT('pair', a, b) AS s FROM t WHERE PREDICT('pair', a, b) > 4;
-- becomes
SELECT id, "scoter_score_0_0" AS s FROM (SELECT *, once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS t WHERE "scoter_score_0_0" > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 5

-- only in the filter there is nothing to save
SELECT id FROM t WHERE PREDICT('pair', a, b) > 4;
-- becomes
SELECT id FROM t WHERE PREDICT('pair', a, b) > 4;
-- same as
SELECT id FROM t WHERE a + 10 * b > 4;
-- scored 5

-- only in the select list
SELECT id, PREDICT('pair', a, b) AS s FROM t;
-- becomes
SELECT id, PREDICT('pair', a, b) AS s FROM t;
-- scored 5

-- an alias in the filter
SELECT id, PREDICT('pair', a, b) AS s FROM t WHERE s > 4;
-- becomes
SELECT id, "scoter_score_0_0" AS s FROM (SELECT *, once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS t WHERE ("scoter_score_0_0") > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 5

-- an alias that a column of the table has means the column
SELECT id, PREDICT('pair', a, b) AS c FROM t WHERE c = 9;
-- becomes
SELECT id, PREDICT('pair', a, b) AS c FROM t WHERE c = 9;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE c = 9;
-- scored 2

-- a star does not show the added column
SELECT *, PREDICT('pair', a, b) AS s FROM t WHERE PREDICT('pair', a, b) > 4;
-- becomes
SELECT * EXCLUDE ("scoter_score_0_0"), "scoter_score_0_0" AS s FROM (SELECT *, once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS t WHERE "scoter_score_0_0" > 4;
-- same as
SELECT *, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 5

-- a star with EXCLUDE and REPLACE
SELECT * EXCLUDE (c) REPLACE (PREDICT('pair', a, b) AS b) FROM t WHERE PREDICT('pair', a, b) > 4;
-- becomes
SELECT * EXCLUDE (c, "scoter_score_0_0") REPLACE ("scoter_score_0_0" AS b) FROM (SELECT *, once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS t WHERE "scoter_score_0_0" > 4;
-- same as
SELECT id, a, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 5

-- an aliased table, its star and its qualified columns
SELECT x.*, PREDICT('pair', x.a, x.b) AS s FROM t AS x WHERE PREDICT('pair', x.a, x.b) > 4 AND x.id < 5;
-- becomes
SELECT x.* EXCLUDE ("scoter_score_0_0"), "scoter_score_0_0" AS s FROM (SELECT *, once(PREDICT('pair', x.a, x.b)) AS "scoter_score_0_0" FROM t AS x) AS x WHERE "scoter_score_0_0" > 4 AND x.id < 5;
-- same as
SELECT *, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4 AND id < 5;
-- scored 4

-- a subquery with an outer filter
SELECT * FROM (SELECT id, PREDICT('pair', a, b) AS s FROM t) AS q WHERE s > 4;
-- becomes
SELECT * FROM (SELECT id, once(PREDICT('pair', a, b)) AS s FROM t) AS q WHERE s > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 5

-- a CTE with an outer filter
WITH q AS (SELECT id, PREDICT('pair', a, b) AS s FROM t) SELECT id, s FROM q WHERE s > 4;
-- becomes
WITH q AS (SELECT id, once(PREDICT('pair', a, b)) AS s FROM t) SELECT id, s FROM q WHERE s > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 5

-- a CTE that is used twice
WITH q AS (SELECT id, PREDICT('pair', a, b) AS s FROM t) SELECT x.id, y.s FROM q AS x JOIN q AS y USING (id) WHERE x.s > 4;
-- becomes
WITH q AS (SELECT id, once(PREDICT('pair', a, b)) AS s FROM t) SELECT x.id, y.s FROM q AS x JOIN q AS y USING (id) WHERE x.s > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 5

-- grouped by the prediction
SELECT PREDICT('pair', a, b) AS s, count(*) AS n FROM t WHERE PREDICT('pair', a, b) > 4 GROUP BY PREDICT('pair', a, b);
-- becomes
SELECT "scoter_score_0_0" AS s, count(*) AS n FROM (SELECT *, once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS t WHERE "scoter_score_0_0" > 4 GROUP BY "scoter_score_0_0";
-- same as
SELECT (a + 10 * b)::FLOAT, count(*) FROM t WHERE a + 10 * b > 4 GROUP BY 1;
-- scored 5

-- ordered by the prediction
SELECT id FROM t WHERE PREDICT('pair', a, b) > 4 ORDER BY PREDICT('pair', a, b) DESC LIMIT 2;
-- becomes
SELECT id FROM (SELECT *, once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS t WHERE "scoter_score_0_0" > 4 ORDER BY "scoter_score_0_0" DESC LIMIT 2;
-- same as
SELECT id FROM t WHERE a + 10 * b > 4 ORDER BY a + 10 * b DESC LIMIT 2;
-- scored 5

-- an aggregate over the prediction
SELECT avg(PREDICT('pair', a, b)) AS m FROM t WHERE PREDICT('pair', a, b) > 4;
-- becomes
SELECT avg("scoter_score_0_0") AS m FROM (SELECT *, once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS t WHERE "scoter_score_0_0" > 4;
-- same as
SELECT avg(a + 10 * b) FROM t WHERE a + 10 * b > 4;
-- scored 5

-- two predictions, one of them repeated
SELECT PREDICT('pair', a, b) AS s, PREDICT('linear', a, b) AS l FROM t WHERE PREDICT('pair', a, b) > 4;
-- becomes
SELECT "scoter_score_0_0" AS s, PREDICT('linear', a, b) AS l FROM (SELECT *, once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS t WHERE "scoter_score_0_0" > 4;
-- same as
SELECT (a + 10 * b)::FLOAT, (2 * a + b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 8

-- twice in the filter
SELECT id FROM t WHERE PREDICT('pair', a, b) > 4 AND PREDICT('pair', a, b) < 20;
-- becomes
SELECT id FROM (SELECT *, once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS t WHERE "scoter_score_0_0" > 4 AND "scoter_score_0_0" < 20;
-- same as
SELECT id FROM t WHERE a + 10 * b > 4 AND a + 10 * b < 20;
-- scored 5

-- chance stays chance
SELECT PREDICT('pair', random() * 0 + a, b) AS s FROM t WHERE PREDICT('pair', random() * 0 + a, b) > 4;
-- becomes
SELECT PREDICT('pair', random() * 0 + a, b) AS s FROM t WHERE PREDICT('pair', random() * 0 + a, b) > 4;
-- same as
SELECT (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 8

-- inside a correlated subquery
SELECT id, (SELECT max(PREDICT('pair', t.a, u.d)) FROM u WHERE PREDICT('pair', t.a, u.d) > 100) AS m FROM t WHERE a IS NOT NULL;
-- becomes
SELECT id, (SELECT max("scoter_score_1_0") AS "max(predict('pair', t.a, u.d))" FROM (SELECT *, once(PREDICT('pair', t.a, u.d)) AS "scoter_score_1_0" FROM u) AS u WHERE "scoter_score_1_0" > 100) AS m FROM t WHERE NOT a IS NULL;
-- same as
SELECT id, (SELECT max(t.a + 10 * u.d)::FLOAT FROM u WHERE t.a + 10 * u.d > 100) FROM t WHERE a IS NOT NULL;
-- scored 16

-- only rows that pass the other conditions are scored
SELECT id, PREDICT('pair', a, b) AS s FROM t WHERE id < 3 AND PREDICT('pair', a, b) > 0;
-- becomes
SELECT id, "scoter_score_0_0" AS s FROM (SELECT *, once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS t WHERE id < 3 AND "scoter_score_0_0" > 0;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE id < 3 AND a + 10 * b > 0;
-- scored 2

-- what CASE spares is not computed below it
SELECT id, PREDICT('pair', a, b) AS s FROM t WHERE CASE WHEN a IS NULL THEN false ELSE PREDICT('pair', a, b) > 4 END;
-- becomes
SELECT id, PREDICT('pair', a, b) AS s FROM t WHERE CASE WHEN a IS NULL THEN false ELSE PREDICT('pair', a, b) > 4 END;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 7
