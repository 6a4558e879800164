-- a join
SELECT t.id, d, PREDICT('pair', a, d) AS s FROM t JOIN u ON t.id = u.id WHERE PREDICT('pair', a, d) > 150;
-- becomes
SELECT "scoter_c0" AS "id", "scoter_c1" AS "d", "scoter_score_0_0" AS s FROM (SELECT t.id AS "scoter_c0", "u".d AS "scoter_c1", once(PREDICT('pair', a, d)) AS "scoter_score_0_0" FROM t JOIN u ON t.id = u.id) AS scoter_once_0_0 WHERE "scoter_score_0_0" > 150;
-- same as
SELECT t.id, d, (a + 10 * d)::FLOAT FROM t JOIN u ON t.id = u.id WHERE a + 10 * d > 150;
-- scored 3

-- a join with conditions of its own, which stay below
SELECT t.id, PREDICT('pair', a, d) AS s FROM t JOIN u ON t.id = u.id WHERE d < 21 AND PREDICT('pair', a, d) > 150 AND t.c = 9;
-- becomes
SELECT "scoter_c0" AS "id", "scoter_score_0_0" AS s FROM (SELECT t.id AS "scoter_c0", once(PREDICT('pair', a, d)) AS "scoter_score_0_0" FROM t JOIN u ON t.id = u.id WHERE d < 21 AND t.c = 9) AS scoter_once_0_0 WHERE "scoter_score_0_0" > 150;
-- same as
SELECT t.id, (a + 10 * d)::FLOAT FROM t JOIN u ON t.id = u.id WHERE d < 21 AND a + 10 * d > 150 AND t.c = 9;
-- scored 2

-- a condition that needs a prediction and a column
SELECT t.id FROM t JOIN u ON t.id = u.id WHERE PREDICT('pair', a, d) > 150 OR (PREDICT('pair', a, d) < 150 AND d = 10);
-- becomes
SELECT "scoter_c0" AS "id" FROM (SELECT t.id AS "scoter_c0", "u".d AS "scoter_c1", once(PREDICT('pair', a, d)) AS "scoter_score_0_0" FROM t JOIN u ON t.id = u.id) AS scoter_once_0_0 WHERE "scoter_score_0_0" > 150 OR ("scoter_score_0_0" < 150 AND "scoter_c1" = 10);
-- same as
SELECT t.id FROM t JOIN u ON t.id = u.id WHERE a + 10 * d > 150 OR (a + 10 * d < 150 AND d = 10);
-- scored 3

-- an outer join
SELECT t.id, d, PREDICT('pair', a, d) AS s FROM t LEFT JOIN u ON t.id = u.id WHERE PREDICT('pair', a, d) > 150 OR PREDICT('pair', a, d) IS NULL;
-- becomes
SELECT "scoter_c0" AS "id", "scoter_c1" AS "d", "scoter_score_0_0" AS s FROM (SELECT t.id AS "scoter_c0", "u".d AS "scoter_c1", once(PREDICT('pair', a, d)) AS "scoter_score_0_0" FROM t LEFT JOIN u ON t.id = u.id) AS scoter_once_0_0 WHERE "scoter_score_0_0" > 150 OR "scoter_score_0_0" IS NULL;
-- same as
SELECT t.id, d, (a + 10 * d)::FLOAT FROM t LEFT JOIN u ON t.id = u.id WHERE a + 10 * d > 150 OR a + 10 * d IS NULL;
-- scored 6

-- a star over a join
SELECT *, PREDICT('pair', a, d) AS s FROM t JOIN u ON t.id = u.id WHERE PREDICT('pair', a, d) > 150;
-- becomes
SELECT "scoter_c0" AS "id", "scoter_c1" AS "a", "scoter_c2" AS "b", "scoter_c3" AS "c", "scoter_c4" AS "id", "scoter_c5" AS "d", "scoter_score_0_0" AS s FROM (SELECT "t"."id" AS "scoter_c0", "t"."a" AS "scoter_c1", "t"."b" AS "scoter_c2", "t"."c" AS "scoter_c3", "u"."id" AS "scoter_c4", "u"."d" AS "scoter_c5", once(PREDICT('pair', a, d)) AS "scoter_score_0_0" FROM t JOIN u ON t.id = u.id) AS scoter_once_0_0 WHERE "scoter_score_0_0" > 150;
-- same as
SELECT *, (a + 10 * d)::FLOAT FROM t JOIN u ON t.id = u.id WHERE a + 10 * d > 150;
-- scored 3

-- a star over a join with USING
SELECT *, PREDICT('pair', a, d) AS s FROM t JOIN u USING (id) WHERE PREDICT('pair', a, d) > 150;
-- becomes
SELECT * EXCLUDE ("scoter_score_0_0"), "scoter_score_0_0" AS s FROM t JOIN u USING (id) CROSS JOIN LATERAL (SELECT once(PREDICT('pair', a, d)) AS "scoter_score_0_0") AS scoter_once_0_0 WHERE "scoter_score_0_0" > 150;
-- same as
SELECT *, (a + 10 * d)::FLOAT FROM t JOIN u USING (id) WHERE a + 10 * d > 150;
-- scored 3

-- one table twice
SELECT x.id, y.id, PREDICT('pair', x.a, y.b) AS s FROM t AS x JOIN t AS y ON x.id = y.id + 1 WHERE PREDICT('pair', x.a, y.b) > 0;
-- becomes
SELECT "scoter_c0" AS "id", "scoter_c1" AS "id", "scoter_score_0_0" AS s FROM (SELECT x.id AS "scoter_c0", y.id AS "scoter_c1", once(PREDICT('pair', x.a, y.b)) AS "scoter_score_0_0" FROM t AS x JOIN t AS y ON x.id = y.id + 1) AS scoter_once_0_0 WHERE "scoter_score_0_0" > 0;
-- same as
SELECT x.id, y.id, (x.a + 10 * y.b)::FLOAT FROM t AS x JOIN t AS y ON x.id = y.id + 1 WHERE x.a + 10 * y.b > 0;
-- scored 4

-- grouped, ordered and limited
SELECT d, max(PREDICT('pair', a, d)) AS m FROM t JOIN u ON t.id = u.id WHERE PREDICT('pair', a, d) > 0 GROUP BY d HAVING count(t.c) > 0 ORDER BY d DESC LIMIT 2;
-- becomes
SELECT "scoter_c0" AS "d", max("scoter_score_0_0") AS m FROM (SELECT "u".d AS "scoter_c0", t.c AS "scoter_c1", once(PREDICT('pair', a, d)) AS "scoter_score_0_0" FROM t JOIN u ON t.id = u.id) AS scoter_once_0_0 WHERE "scoter_score_0_0" > 0 GROUP BY "scoter_c0" HAVING count("scoter_c1") > 0 ORDER BY "scoter_c0" DESC LIMIT 2;
-- same as
SELECT d, max(a + 10 * d)::FLOAT AS m FROM t JOIN u ON t.id = u.id WHERE a + 10 * d > 0 GROUP BY d HAVING count(t.c) > 0 ORDER BY d DESC LIMIT 2;
-- scored 3

-- an alias that hides a column in ORDER BY
SELECT t.id AS d, PREDICT('pair', a, u.d) AS s FROM t JOIN u ON t.id = u.id WHERE PREDICT('pair', a, u.d) > 0 ORDER BY d LIMIT 1;
-- becomes
SELECT t.id AS d, "scoter_score_0_0" AS s FROM t JOIN u ON t.id = u.id CROSS JOIN LATERAL (SELECT once(PREDICT('pair', a, u.d)) AS "scoter_score_0_0") AS scoter_once_0_0 WHERE "scoter_score_0_0" > 0 ORDER BY d LIMIT 1;
-- same as
SELECT t.id AS d, (a + 10 * u.d)::FLOAT FROM t JOIN u ON t.id = u.id WHERE a + 10 * u.d > 0 AND u.d < 20;
-- scored 3

-- an expression without a name keeps its name
SELECT t.id + u.d, PREDICT('pair', a, d) FROM t JOIN u ON t.id = u.id WHERE PREDICT('pair', a, d) > 150;
-- becomes
SELECT t.id + u.d, "scoter_score_0_0" AS "predict('pair', a, d)" FROM t JOIN u ON t.id = u.id CROSS JOIN LATERAL (SELECT once(PREDICT('pair', a, d)) AS "scoter_score_0_0") AS scoter_once_0_0 WHERE "scoter_score_0_0" > 150;
-- same as
SELECT t.id + u.d, (a + 10 * d)::FLOAT FROM t JOIN u ON t.id = u.id WHERE a + 10 * d > 150;
-- scored 3

-- a subquery in the filter
SELECT t.id, PREDICT('pair', a, d) AS s FROM t JOIN u ON t.id = u.id WHERE PREDICT('pair', a, d) > (SELECT min(d) * 15 FROM u);
-- becomes
SELECT t.id, "scoter_score_0_0" AS s FROM t JOIN u ON t.id = u.id CROSS JOIN LATERAL (SELECT once(PREDICT('pair', a, d)) AS "scoter_score_0_0") AS scoter_once_0_0 WHERE "scoter_score_0_0" > (SELECT min(d) * 15 FROM u);
-- same as
SELECT t.id, (a + 10 * d)::FLOAT FROM t JOIN u ON t.id = u.id WHERE a + 10 * d > 150;
-- scored 3

-- a window
SELECT t.id, rank() OVER (ORDER BY PREDICT('pair', a, d)) AS r FROM t JOIN u ON t.id = u.id WHERE PREDICT('pair', a, d) > 150;
-- becomes
SELECT "scoter_c0" AS "id", rank() OVER (ORDER BY "scoter_score_0_0") AS r FROM (SELECT t.id AS "scoter_c0", once(PREDICT('pair', a, d)) AS "scoter_score_0_0" FROM t JOIN u ON t.id = u.id) AS scoter_once_0_0 WHERE "scoter_score_0_0" > 150;
-- same as
SELECT t.id, rank() OVER (ORDER BY a + 10 * d) AS r FROM t JOIN u ON t.id = u.id WHERE a + 10 * d > 150;
-- scored 3
