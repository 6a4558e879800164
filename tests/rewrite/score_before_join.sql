-- in the condition and the select list
SELECT t.id, u.d, PREDICT('pair', a, b) AS s FROM t JOIN u ON PREDICT('pair', t.a, t.b) = u.d + 2;
-- becomes
SELECT t.id, u.d, "scoter_joined_0_0" AS s FROM (SELECT *, once(PREDICT('pair', t.a, t.b)) AS "scoter_joined_0_0" FROM t) AS "t" JOIN u ON "scoter_joined_0_0" = u.d + 2;
-- same as
SELECT t.id, u.d, (a + 10 * b)::FLOAT AS s FROM t JOIN u ON a + 10 * b = u.d + 2;
-- scored 5

-- twice in the condition, of the joined table, and stars
SELECT *, u.* FROM u JOIN t AS x ON PREDICT('pair', a, b) < u.d AND PREDICT('pair', a, b) > 4;
-- becomes
SELECT * EXCLUDE ("scoter_joined_0_0"), u.* FROM u JOIN (SELECT *, once(PREDICT('pair', a, b)) AS "scoter_joined_0_0" FROM t AS x) AS "x" ON "scoter_joined_0_0" < u.d AND "scoter_joined_0_0" > 4;
-- same as
SELECT *, u.* FROM u JOIN t AS x ON a + 10 * b < u.d AND a + 10 * b > 4;
-- scored 5

-- of the table that keeps its rows
SELECT t.id, u.d, PREDICT('pair', a, b) AS s FROM t LEFT JOIN u ON PREDICT('pair', a, b) = u.d + 2;
-- becomes
SELECT t.id, u.d, "scoter_joined_0_0" AS s FROM (SELECT *, once(PREDICT('pair', a, b)) AS "scoter_joined_0_0" FROM t) AS "t" LEFT JOIN u ON "scoter_joined_0_0" = u.d + 2;
-- same as
SELECT t.id, u.d, (a + 10 * b)::FLOAT AS s FROM t LEFT JOIN u ON a + 10 * b = u.d + 2;
-- scored 5

-- of the table that gets rows of NULL
SELECT u.id, t.id AS i, PREDICT('pair', a, b) AS s FROM u LEFT JOIN t ON PREDICT('pair', a, b) = u.d + 2;
-- becomes
SELECT u.id, t.id AS i, PREDICT('pair', a, b) AS s FROM u LEFT JOIN t ON PREDICT('pair', a, b) = u.d + 2;
-- same as
SELECT u.id, t.id AS i, (a + 10 * b)::FLOAT AS s FROM u LEFT JOIN t ON a + 10 * b = u.d + 2;
-- scored 8

-- of both tables
SELECT t.id, PREDICT('pair', a, u.d) AS s FROM t JOIN u ON PREDICT('pair', a, u.d) > 100;
-- becomes
SELECT t.id, PREDICT('pair', a, u.d) AS s FROM t JOIN u ON PREDICT('pair', a, u.d) > 100;
-- same as
SELECT t.id, (a + 10 * u.d)::FLOAT AS s FROM t JOIN u ON a + 10 * u.d > 100;
-- scored 35

-- once in the condition
SELECT t.id, u.d FROM t JOIN u ON PREDICT('pair', a, b) = u.d + 2;
-- becomes
SELECT t.id, u.d FROM t JOIN u ON PREDICT('pair', a, b) = u.d + 2;
-- same as
SELECT t.id, u.d FROM t JOIN u ON a + 10 * b = u.d + 2;
-- scored 5

-- what CASE spares
SELECT t.id, PREDICT('pair', a, b) AS s FROM t JOIN u ON CASE WHEN t.id > 2 THEN false ELSE PREDICT('pair', a, b) > 1 END;
-- becomes
SELECT t.id, PREDICT('pair', a, b) AS s FROM t JOIN u ON CASE WHEN t.id > 2 THEN FALSE ELSE PREDICT('pair', a, b) > 1 END;
-- same as
SELECT t.id, (a + 10 * b)::FLOAT AS s FROM t JOIN u ON CASE WHEN t.id > 2 THEN false ELSE a + 10 * b > 1 END;
-- scored 6

-- the condition, and groups
SELECT PREDICT('pair', a, b) AS s, count(*) AS n FROM t JOIN u ON PREDICT('pair', a, b) < u.d GROUP BY PREDICT('pair', a, b);
-- becomes
SELECT "scoter_joined_0_0" AS s, count(*) AS n FROM (SELECT *, once(PREDICT('pair', a, b)) AS "scoter_joined_0_0" FROM t) AS "t" JOIN u ON "scoter_joined_0_0" < u.d GROUP BY "scoter_joined_0_0";
-- same as
SELECT (a + 10 * b)::FLOAT AS s, count(*) AS n FROM t JOIN u ON a + 10 * b < u.d GROUP BY 1;
-- scored 5
