-- in the filter and the select list of one table
SELECT id, PREDICT('pair', a, b) AS s FROM t WHERE PREDICT('pair', a, b) > 4;
-- becomes
SELECT id, "scoter_score_0_0" AS s FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" WHERE "scoter_score_0_0" > 4;
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
SELECT id, "scoter_score_0_0" AS s FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" WHERE ("scoter_score_0_0") > 4;
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
SELECT x.* EXCLUDE ("scoter_score_0_0"), "scoter_score_0_0" AS s FROM (SELECT *, once(PREDICT('pair', x.a, x.b)) AS "scoter_score_0_0" FROM t AS x WHERE x.id < 5) AS "x" WHERE "scoter_score_0_0" > 4;
-- same as
SELECT *, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4 AND id < 5;
-- scored 4

-- a subquery with an outer filter
SELECT * FROM (SELECT id, PREDICT('pair', a, b) AS s FROM t) AS q WHERE s > 4;
-- becomes
SELECT * FROM (SELECT id, "scoter_score_1_0" AS s FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_1_0" FROM t) AS "t") AS q WHERE s > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 5

-- a CTE with an outer filter
WITH q AS (SELECT id, PREDICT('pair', a, b) AS s FROM t) SELECT id, s FROM q WHERE s > 4;
-- becomes
WITH q AS (SELECT id, "scoter_score_1_0" AS s FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_1_0" FROM t) AS "t") SELECT id, s FROM q WHERE s > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 5

-- a CTE that is used twice
WITH q AS (SELECT id, PREDICT('pair', a, b) AS s FROM t) SELECT x.id, y.s FROM q AS x JOIN q AS y USING (id) WHERE x.s > 4;
-- becomes
WITH q AS (SELECT id, "scoter_score_1_0" AS s FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_1_0" FROM t) AS "t") SELECT x.id, y.s FROM q AS x JOIN q AS y USING (id) WHERE x.s > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 5

-- grouped by the prediction
SELECT PREDICT('pair', a, b) AS s, count(*) AS n FROM t WHERE PREDICT('pair', a, b) > 4 GROUP BY PREDICT('pair', a, b);
-- becomes
SELECT "scoter_score_0_0" AS s, count(*) AS n FROM (SELECT once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" WHERE "scoter_score_0_0" > 4 GROUP BY "scoter_score_0_0";
-- same as
SELECT (a + 10 * b)::FLOAT, count(*) FROM t WHERE a + 10 * b > 4 GROUP BY 1;
-- scored 5

-- ordered by the prediction
SELECT id FROM t WHERE PREDICT('pair', a, b) > 4 ORDER BY PREDICT('pair', a, b) DESC LIMIT 2;
-- becomes
SELECT id FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" WHERE "scoter_score_0_0" > 4 ORDER BY "scoter_score_0_0" DESC LIMIT 2;
-- same as
SELECT id FROM t WHERE a + 10 * b > 4 ORDER BY a + 10 * b DESC LIMIT 2;
-- scored 5

-- an aggregate over the prediction
SELECT avg(PREDICT('pair', a, b)) AS m FROM t WHERE PREDICT('pair', a, b) > 4;
-- becomes
SELECT avg("scoter_score_0_0") AS m FROM (SELECT once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" WHERE "scoter_score_0_0" > 4;
-- same as
SELECT avg(a + 10 * b) FROM t WHERE a + 10 * b > 4;
-- scored 5

-- two predictions, one of them repeated
SELECT PREDICT('pair', a, b) AS s, PREDICT('linear', a, b) AS l FROM t WHERE PREDICT('pair', a, b) > 4;
-- becomes
SELECT "scoter_score_0_0" AS s, PREDICT('linear', a, b) AS l FROM (SELECT "t"."a", "t"."b", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" WHERE "scoter_score_0_0" > 4;
-- same as
SELECT (a + 10 * b)::FLOAT, (2 * a + b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 8

-- twice in the filter
SELECT id FROM t WHERE PREDICT('pair', a, b) > 4 AND PREDICT('pair', a, b) < 20;
-- becomes
SELECT id FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" WHERE "scoter_score_0_0" > 4 AND "scoter_score_0_0" < 20;
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
SELECT id, (SELECT max("scoter_score_1_0") AS "max(predict('pair', t.a, u.d))" FROM (SELECT once(PREDICT('pair', t.a, u.d)) AS "scoter_score_1_0" FROM u) AS "u" WHERE "scoter_score_1_0" > 100) AS m FROM t WHERE a IS NOT NULL;
-- same as
SELECT id, (SELECT max(t.a + 10 * u.d)::FLOAT FROM u WHERE t.a + 10 * u.d > 100) FROM t WHERE a IS NOT NULL;
-- scored 16

-- only rows that pass the other conditions are scored
SELECT id, PREDICT('pair', a, b) AS s FROM t WHERE id < 3 AND PREDICT('pair', a, b) > 0;
-- becomes
SELECT id, "scoter_score_0_0" AS s FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t WHERE id < 3) AS "t" WHERE "scoter_score_0_0" > 0;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE id < 3 AND a + 10 * b > 0;
-- scored 2

-- what CASE spares is not computed below it
SELECT id, PREDICT('pair', a, b) AS s FROM t WHERE CASE WHEN a IS NULL THEN false ELSE PREDICT('pair', a, b) > 4 END;
-- becomes
SELECT id, PREDICT('pair', a, b) AS s FROM t WHERE CASE WHEN a IS NULL THEN FALSE ELSE PREDICT('pair', a, b) > 4 END;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 7

-- the call in a window and in the select list
SELECT id, PREDICT('pair', a, b) AS s, count(*) OVER (PARTITION BY PREDICT('pair', a, b)) AS n FROM t;
-- becomes
SELECT id, "scoter_score_0_0" AS s, count(*) OVER (PARTITION BY "scoter_score_0_0") AS n FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t";
-- same as
SELECT id, (a + 10 * b)::FLOAT, count(*) OVER (PARTITION BY a + 10 * b) FROM t;
-- scored 5

-- its alias in a window
SELECT id, PREDICT('pair', a, b) AS s, rank() OVER (ORDER BY s, id) AS n FROM t WHERE id > 1;
-- becomes
SELECT id, "scoter_score_0_0" AS s, rank() OVER (ORDER BY s, id) AS n FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t WHERE id > 1) AS "t";
-- same as
SELECT id, (a + 10 * b)::FLOAT, rank() OVER (ORDER BY a + 10 * b, id) FROM t WHERE id > 1;
-- scored 4

-- two windows, one by name
SELECT id, sum(PREDICT('pair', a, b)) OVER w AS s, max(PREDICT('pair', a, b)) OVER (PARTITION BY c) AS m FROM t WINDOW w AS (ORDER BY id);
-- becomes
SELECT id, sum("scoter_score_0_0") OVER w AS s, max("scoter_score_0_0") OVER (PARTITION BY c) AS m FROM (SELECT "t"."id", "t"."c", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" WINDOW w AS (ORDER BY id);
-- same as
SELECT id, sum(a + 10 * b) OVER w, (max(a + 10 * b) OVER (PARTITION BY c))::FLOAT FROM t WINDOW w AS (ORDER BY id);
-- scored 5

-- a window of QUALIFY
SELECT id, PREDICT('pair', a, b) AS s FROM t QUALIFY row_number() OVER (PARTITION BY c ORDER BY s DESC) = 1;
-- becomes
SELECT id, "scoter_score_0_0" AS s FROM (SELECT "t"."id", "t"."c", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" QUALIFY row_number() OVER (PARTITION BY c ORDER BY s DESC) = 1;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t QUALIFY row_number() OVER (PARTITION BY c ORDER BY a + 10 * b DESC) = 1;
-- scored 5

-- QUALIFY leaves rows first
SELECT id, PREDICT('pair', a, b) AS s FROM t QUALIFY row_number() OVER (PARTITION BY c ORDER BY id) = 1;
-- becomes
SELECT id, PREDICT('pair', a, b) AS s FROM t QUALIFY row_number() OVER (PARTITION BY c ORDER BY id) = 1;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t QUALIFY row_number() OVER (PARTITION BY c ORDER BY id) = 1;
-- scored 3

-- HAVING asks for what the rows are grouped by
SELECT PREDICT('pair', a, b) AS s, count(*) AS n FROM t GROUP BY s HAVING s > 4;
-- becomes
SELECT "scoter_score_0_0" AS s, count(*) AS n FROM (SELECT once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" GROUP BY s HAVING s > 4;
-- same as
SELECT (a + 10 * b)::FLOAT, count(*) FROM t WHERE a + 10 * b > 4 GROUP BY 1;
-- scored 5

-- HAVING asks for an expression by its place
SELECT round(PREDICT('pair', a, b), -1) AS s, count(*) AS n FROM t GROUP BY 1 HAVING round(PREDICT('pair', a, b), -1) > 4;
-- becomes
SELECT round("scoter_score_0_0", -1) AS s, count(*) AS n FROM (SELECT once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" GROUP BY 1 HAVING round("scoter_score_0_0", -1) > 4;
-- same as
SELECT round((a + 10 * b)::FLOAT, -1), count(*) FROM t GROUP BY 1 HAVING round((a + 10 * b)::FLOAT, -1) > 4;
-- scored 5

-- HAVING asks for an aggregate
SELECT c, max(PREDICT('pair', a, b)) AS s FROM t GROUP BY c HAVING max(PREDICT('pair', a, b)) > 4;
-- becomes
SELECT c, max(PREDICT('pair', a, b)) AS s FROM t GROUP BY c HAVING max(PREDICT('pair', a, b)) > 4;
-- same as
SELECT c, max(a + 10 * b)::FLOAT FROM t GROUP BY c HAVING max(a + 10 * b) > 4;
-- scored 5

-- grouped by what the model is given
SELECT a, b, PREDICT('pair', a, b) AS s FROM t GROUP BY a, b HAVING PREDICT('pair', a, b) > 4;
-- becomes
SELECT a, b, PREDICT('pair', a, b) AS s FROM t GROUP BY a, b HAVING PREDICT('pair', a, b) > 4;
-- same as
SELECT a, b, (a + 10 * b)::FLOAT FROM t GROUP BY a, b HAVING a + 10 * b > 4;
-- scored 8

-- a label and a probability, grouped
SELECT PREDICT('vote', a, b) AS y, avg(PREDICT_PROBA('vote', a, b, class => 'yes')) AS p FROM t GROUP BY y;
-- becomes
SELECT struct_extract("scoter_score_0_0", 'r0') AS y, avg(struct_extract("scoter_score_0_0", 'r1')) AS p FROM (SELECT once(predict_together('vote', a, b, result => predict, result => 'yes')) AS "scoter_score_0_0" FROM t) AS "t" GROUP BY y;
-- scored 5

-- a label and a probability, filtered
SELECT id, PREDICT('vote', a, b) AS y FROM t WHERE PREDICT_PROBA('vote', a, b, class => 'yes') > 0.5;
-- becomes
SELECT id, struct_extract("scoter_score_0_0", 'r0') AS y FROM (SELECT "t"."id", once(predict_together('vote', a, b, result => predict, result => 'yes')) AS "scoter_score_0_0" FROM t) AS "t" WHERE struct_extract("scoter_score_0_0", 'r1') > 0.5;
-- scored 5

-- a label and a probability, filtered by a query around
SELECT * FROM (SELECT *, PREDICT('vote', a, b) AS y, PREDICT_PROBA('vote', a, b, class => 'yes') AS p FROM t) WHERE p > 0.5;
-- becomes
SELECT * FROM (SELECT * EXCLUDE ("scoter_score_1_0"), struct_extract("scoter_score_1_0", 'r0') AS y, struct_extract("scoter_score_1_0", 'r1') AS p FROM (SELECT *, once(predict_together('vote', a, b, result => predict, result => 'yes')) AS "scoter_score_1_0" FROM t) AS "t") WHERE p > 0.5;
-- scored 5

-- an alias beside the prediction, filtered by a query around
SELECT * FROM (SELECT id, PREDICT('pair', a, b) AS s, s + 1 AS r FROM t) WHERE r > 4;
-- becomes
SELECT * FROM (SELECT id, "scoter_score_1_0" AS s, s + 1 AS r FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_1_0" FROM t) AS "t") WHERE r > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT AS s, s + 1 AS r FROM t WHERE a + 10 * b > 3;
-- scored 5

-- filtered by another name
SELECT * FROM (SELECT r AS q FROM (SELECT PREDICT('pair', a, b) AS r FROM t)) WHERE q > 4;
-- becomes
SELECT * FROM (SELECT r AS q FROM (SELECT "scoter_score_2_0" AS r FROM (SELECT once(PREDICT('pair', a, b)) AS "scoter_score_2_0" FROM t) AS "t")) WHERE q > 4;
-- same as
SELECT (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 5

-- filtered by the name of a list of columns
WITH q(i, s) AS (SELECT id, PREDICT('pair', a, b) FROM t) SELECT * FROM q WHERE s > 4;
-- becomes
WITH q(i, s) AS (SELECT id, "scoter_score_1_0" AS "predict('pair', a, b)" FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_1_0" FROM t) AS "t") SELECT * FROM q WHERE s > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 4;
-- scored 5

-- filtered by the name that the first query of a UNION gives
SELECT * FROM (SELECT id, c AS s FROM t UNION ALL SELECT id, PREDICT('pair', a, b) FROM t) WHERE s > 11;
-- becomes
SELECT * FROM (SELECT id, c AS s FROM t UNION ALL SELECT id, "scoter_score_2_0" AS "predict('pair', a, b)" FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_2_0" FROM t) AS "t") WHERE s > 11;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 11;
-- scored 5

-- a query around that asks for other columns
SELECT * FROM (SELECT id, PREDICT('pair', a, b) AS s FROM t) WHERE id < 3;
-- becomes
SELECT * FROM (SELECT id, PREDICT('pair', a, b) AS s FROM t) WHERE id < 3;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t WHERE id < 3;
-- scored 2

-- grouped below a filter
SELECT * FROM (SELECT PREDICT('pair', a, b) AS s, count(*) AS n FROM t GROUP BY s) WHERE s > 4;
-- becomes
SELECT * FROM (SELECT "scoter_score_1_0" AS s, count(*) AS n FROM (SELECT once(PREDICT('pair', a, b)) AS "scoter_score_1_0" FROM t) AS "t" GROUP BY s) WHERE s > 4;
-- same as
SELECT (a + 10 * b)::FLOAT, count(*) FROM t WHERE a + 10 * b > 4 GROUP BY 1;
-- scored 5

-- the first by the prediction
SELECT id, PREDICT('pair', a, b) AS s FROM t ORDER BY s DESC NULLS LAST LIMIT 2;
-- becomes
SELECT id, "scoter_score_0_0" AS s FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" ORDER BY s DESC LIMIT 2;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t ORDER BY a + 10 * b DESC NULLS LAST LIMIT 2;
-- scored 5

-- the first by something else
SELECT id, PREDICT('pair', a, b) AS s FROM t ORDER BY id LIMIT 2;
-- becomes
SELECT id, PREDICT('pair', a, b) AS s FROM t ORDER BY id LIMIT 2;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t ORDER BY id LIMIT 2;
-- scored 2

-- arguments that are aliases
SELECT a * 2 AS x, PREDICT('pair', x, b) AS s FROM t WHERE s > 4;
-- becomes
SELECT a * 2 AS x, "scoter_score_0_0" AS s FROM (SELECT "t"."a", once(PREDICT('pair', (a * 2), b)) AS "scoter_score_0_0" FROM t) AS "t" WHERE ("scoter_score_0_0") > 4;
-- same as
SELECT a * 2, (a * 2 + 10 * b)::FLOAT FROM t WHERE a * 2 + 10 * b > 4;
-- scored 5

-- an alias with the name of an argument
SELECT b AS a, PREDICT('pair', t.a, b) AS s FROM t WHERE PREDICT('pair', t.a, b) > 4 ORDER BY PREDICT('pair', a, b), id LIMIT 9;
-- becomes
SELECT b AS a, "scoter_score_0_0" AS s FROM (SELECT "t"."id", "t"."a", "t"."b", once(PREDICT('pair', t.a, b)) AS "scoter_score_0_0" FROM t) AS "t" WHERE "scoter_score_0_0" > 4 ORDER BY PREDICT('pair', a, b), id LIMIT 9;
-- scored 8

-- an aggregate's own filter
SELECT c, sum(PREDICT('pair', a, b)) FILTER (WHERE PREDICT('pair', a, b) > 4) AS s FROM t WHERE PREDICT('pair', a, b) < 20 GROUP BY c;
-- becomes
SELECT c, sum("scoter_score_0_0") FILTER(WHERE "scoter_score_0_0" > 4) AS s FROM (SELECT "t"."c", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" WHERE "scoter_score_0_0" < 20 GROUP BY c;
-- same as
SELECT c, sum(a + 10 * b) FILTER (WHERE a + 10 * b > 4) FROM t WHERE a + 10 * b < 20 GROUP BY c;
-- scored 5

-- two tables, a window
SELECT t.id, d, PREDICT('pair', a, b) AS s, rank() OVER (ORDER BY PREDICT('pair', a, b), d) AS n FROM t JOIN u ON t.id = u.id;
-- becomes
SELECT "scoter_c0" AS "id", "scoter_c1" AS "d", "scoter_score_0_0" AS s, rank() OVER (ORDER BY "scoter_score_0_0", "scoter_c1") AS n FROM (SELECT t.id AS "scoter_c0", "u".d AS "scoter_c1", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t JOIN u ON t.id = u.id) AS scoter_once_0_0;
-- same as
SELECT t.id, d, (a + 10 * b)::FLOAT, rank() OVER (ORDER BY a + 10 * b, d) FROM t JOIN u ON t.id = u.id;
-- scored 3

-- each is scored for the rows that the conditions before it leave
SELECT id, PREDICT('pair', a, b) AS s, PREDICT('linear', a, b) AS l FROM t WHERE PREDICT('pair', a, b) > 4 AND PREDICT('linear', a, b) > 4;
-- becomes
SELECT id, "scoter_score_0_0" AS s, "scoter_score_0_1" AS l FROM (SELECT *, once(PREDICT('linear', a, b)) AS "scoter_score_0_1" FROM (SELECT "t"."id", "t"."a", "t"."b", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" WHERE "scoter_score_0_0" > 4) AS "t" WHERE "scoter_score_0_1" > 4;
-- same as
SELECT id, (a + 10 * b)::FLOAT, (2 * a + b)::FLOAT FROM t WHERE a + 10 * b > 4 AND 2 * a + b > 4;
-- scored 8

-- the same of two tables
SELECT t.id, PREDICT('pair', a, d) AS s, PREDICT('linear', a, d) AS l FROM t JOIN u ON t.id = u.id WHERE PREDICT('pair', a, d) > 150 AND PREDICT('linear', a, d) > 4;
-- becomes
SELECT "scoter_c0" AS "id", "scoter_score_0_0" AS s, "scoter_score_0_1" AS l FROM (SELECT *, once(PREDICT('linear', "scoter_c1", "scoter_c2")) AS "scoter_score_0_1" FROM (SELECT t.id AS "scoter_c0", "t".a AS "scoter_c1", "u".d AS "scoter_c2", once(PREDICT('pair', a, d)) AS "scoter_score_0_0" FROM t JOIN u ON t.id = u.id) AS scoter_once_0_0 WHERE "scoter_score_0_0" > 150) AS "scoter_once_0_0" WHERE "scoter_score_0_1" > 4;
-- same as
SELECT t.id, (a + 10 * d)::FLOAT, (2 * a + d)::FLOAT FROM t JOIN u ON t.id = u.id WHERE a + 10 * d > 150 AND 2 * a + d > 4;
-- scored 5

-- what the filter leaves is scored for the order
SELECT id, PREDICT('linear', a, b) AS l FROM t WHERE PREDICT('pair', a, b) BETWEEN 4 AND 20 AND PREDICT('pair', a, b) > 5 ORDER BY l, id LIMIT 9;
-- becomes
SELECT id, "scoter_score_0_1" AS l FROM (SELECT *, once(PREDICT('linear', a, b)) AS "scoter_score_0_1" FROM (SELECT "t"."id", "t"."a", "t"."b", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" WHERE "scoter_score_0_0" BETWEEN 4 AND 20 AND "scoter_score_0_0" > 5) AS "t" ORDER BY l, id LIMIT 9;
-- same as
SELECT id, (2 * a + b)::FLOAT AS l FROM t WHERE a + 10 * b BETWEEN 4 AND 20 AND a + 10 * b > 5 ORDER BY l, id LIMIT 9;
-- scored 7

-- a window in an argument stays above the filter
SELECT id, PREDICT('pair', a, b) AS s, PREDICT('pair', row_number() OVER (ORDER BY id), 0) AS w FROM t WHERE PREDICT('pair', a, b) > 4 ORDER BY w LIMIT 9;
-- becomes
SELECT id, "scoter_score_0_0" AS s, PREDICT('pair', row_number() OVER (ORDER BY id), 0) AS w FROM (SELECT "t"."id", once(PREDICT('pair', a, b)) AS "scoter_score_0_0" FROM t) AS "t" WHERE "scoter_score_0_0" > 4 ORDER BY w LIMIT 9;
-- same as
SELECT id, (a + 10 * b)::FLOAT AS s, (row_number() OVER (ORDER BY id))::FLOAT AS w FROM t WHERE a + 10 * b > 4 ORDER BY w LIMIT 9;
-- scored 8

-- unnest in an argument stays
SELECT id, PREDICT('pair', unnest([a, b]), 1) AS s FROM t ORDER BY s, id LIMIT 9;
-- becomes
SELECT id, PREDICT('pair', unnest([a, b]), 1) AS s FROM t ORDER BY s, id LIMIT 9;
-- same as
SELECT id, (unnest([a, b]) + 10)::FLOAT AS s FROM t ORDER BY s, id LIMIT 9;
-- scored 10

-- an aggregate in an argument stays
SELECT PREDICT('pair', sum(a), 1) AS s, max(b) AS m, rank() OVER (ORDER BY s) AS r FROM t;
-- becomes
SELECT PREDICT('pair', sum(a), 1) AS s, max(b) AS m, rank() OVER (ORDER BY s) AS r FROM t;
-- same as
SELECT (sum(a) + 10)::FLOAT, max(b), 1 FROM t;
-- scored 2

-- DuckDB groups by the columns that HAVING names, too
SELECT PREDICT('pair', a, b) AS s, count(*) AS n FROM t GROUP BY ALL HAVING s > 4;
-- becomes
SELECT PREDICT('pair', a, b) AS s, count(*) AS n FROM t GROUP BY ALL HAVING s > 4;
-- same as
SELECT (a + 10 * b)::FLOAT AS s, count(*) AS n FROM t GROUP BY ALL HAVING s > 4;
-- scored 8

-- a table's columns under other names
SELECT i, PREDICT('pair', aa, bb) AS s, c FROM t AS x(i, aa, bb) WHERE PREDICT('pair', aa, bb) > 4;
-- becomes
SELECT i, "scoter_score_0_0" AS s, c FROM (SELECT "x"."i", "x"."c", once(PREDICT('pair', aa, bb)) AS "scoter_score_0_0" FROM t AS x(i, aa, bb)) AS "x" WHERE "scoter_score_0_0" > 4;
-- same as
SELECT i, (aa + 10 * bb)::FLOAT AS s, c FROM t AS x(i, aa, bb) WHERE aa + 10 * bb > 4;
-- scored 5

-- the row beside a call that moves
SELECT PREDICT('named', t) AS s, PREDICT('linear', a, b) AS l FROM t WHERE PREDICT('linear', a, b) > 3;
-- becomes
SELECT PREDICT('named', t) AS s, "scoter_score_0_0" AS l FROM (SELECT *, once(PREDICT('linear', a, b)) AS "scoter_score_0_0" FROM t) AS "t" WHERE "scoter_score_0_0" > 3;
-- same as
SELECT (a + 10 * b)::FLOAT, (2 * a + b)::FLOAT FROM t WHERE 2 * a + b > 3;
-- scored 7

-- windows over groups
SELECT c, sum(PREDICT('pair', c, c)) OVER () AS x, avg(PREDICT('pair', c, c)) OVER (ORDER BY c) AS y FROM t GROUP BY c;
-- becomes
SELECT c, sum(PREDICT('pair', c, c)) OVER () AS x, avg(PREDICT('pair', c, c)) OVER (ORDER BY c) AS y FROM t GROUP BY c;
-- same as
SELECT c, sum(11 * c) OVER () AS x, avg(11 * c) OVER (ORDER BY c) AS y FROM t GROUP BY c;
-- scored 6

-- an alias of a column in the filter of a join
SELECT t.id AS z, PREDICT('pair', a, d) AS s FROM t JOIN u ON t.id = u.id WHERE z < 3 AND PREDICT('pair', a, d) > 150;
-- becomes
SELECT "scoter_c0" AS z, "scoter_score_0_0" AS s FROM (SELECT t.id AS "scoter_c0", once(PREDICT('pair', a, d)) AS "scoter_score_0_0" FROM t JOIN u ON t.id = u.id WHERE (t.id) < 3) AS scoter_once_0_0 WHERE "scoter_score_0_0" > 150;
-- same as
SELECT t.id AS z, (a + 10 * d)::FLOAT FROM t JOIN u ON t.id = u.id WHERE t.id < 3 AND a + 10 * d > 150;
-- scored 3

-- an alias of aliases in the filter
SELECT a + 1 AS z, z + 1 AS y, PREDICT('pair', z, b) AS s FROM t WHERE y > 3 AND s > 4;
-- becomes
SELECT a + 1 AS z, z + 1 AS y, "scoter_score_0_0" AS s FROM (SELECT "t"."a", once(PREDICT('pair', (a + 1), b)) AS "scoter_score_0_0" FROM t WHERE ((a + 1) + 1) > 3) AS "t" WHERE ("scoter_score_0_0") > 4;
-- same as
SELECT a + 1, a + 2, (a + 1 + 10 * b)::FLOAT FROM t WHERE a + 2 > 3 AND a + 1 + 10 * b > 4;
-- scored 2

-- the first of each group by its score
SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY c ORDER BY PREDICT('pair', a, b) DESC, id) AS n FROM t) WHERE n = 1;
-- becomes
SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY c ORDER BY PREDICT('pair', a, b) DESC, id) AS n FROM t) WHERE n = 1;
-- same as
SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY c ORDER BY a + 10 * b DESC, id) AS n FROM t) WHERE n = 1;
-- scored 5

-- an alias that a query in the select list names
SELECT * FROM (SELECT PREDICT('pair', a, b) AS s, (SELECT s + 1) AS r FROM t) WHERE s > 4;
-- becomes
SELECT * FROM (SELECT "scoter_score_1_0" AS s, (SELECT s + 1) AS r FROM (SELECT once(PREDICT('pair', a, b)) AS "scoter_score_1_0" FROM t) AS "t") WHERE s > 4;
-- same as
SELECT (a + 10 * b)::FLOAT AS s, (a + 10 * b + 1)::FLOAT AS r FROM t WHERE a + 10 * b > 4;
-- scored 5

-- the others of a query below a filter are scored for what it leaves
SELECT * FROM (SELECT id, PREDICT('linear', a, b) AS l, PREDICT('pair', a, b) AS s FROM t) WHERE s > 12;
-- becomes
SELECT * FROM (SELECT id, PREDICT('linear', a, b) AS l, "scoter_score_1_0" AS s FROM (SELECT "t"."id", "t"."a", "t"."b", once(PREDICT('pair', a, b)) AS "scoter_score_1_0" FROM t) AS "t") WHERE s > 12;
-- same as
SELECT id, (2 * a + b)::FLOAT, (a + 10 * b)::FLOAT FROM t WHERE a + 10 * b > 12;
-- scored 6
