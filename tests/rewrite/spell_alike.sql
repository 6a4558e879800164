-- by place, with the table's name and with a version
SELECT id, PREDICT('pair', a, b) AS s, PREDICT('pair@1', t.a, "B") AS r, PREDICT('PAIR', A, b) AS q FROM t;
-- becomes
SELECT id, PREDICT('pair', a, b) AS s, PREDICT('pair', a, b) AS r, PREDICT('pair', a, b) AS q FROM t;
-- same as
SELECT id, (a + 10 * b)::FLOAT AS s, (a + 10 * b)::FLOAT AS r, (a + 10 * b)::FLOAT AS q FROM t;
-- scored 5

-- by name, in any order, and as a row
SELECT id, PREDICT('named', {b: b, a: a}) AS s, PREDICT('named', a, b) AS r, PREDICT('named', t) AS q FROM t;
-- becomes
SELECT id, PREDICT('named', {'b': b, 'a': a}) AS s, PREDICT('named', {'b': b, 'a': a}) AS r, PREDICT('named', {'b': b, 'a': a}) AS q FROM t;
-- same as
SELECT id, (a + 10 * b)::FLOAT AS s, (a + 10 * b)::FLOAT AS r, (a + 10 * b)::FLOAT AS q FROM t;
-- scored 5

-- each keeps what it wants of the results
SELECT PREDICT('vote', a, b) AS y, PREDICT_PROBA('vote@1', t.a, t.b, class => 'yes') AS p FROM t;
-- becomes
SELECT PREDICT('vote', a, b) AS y, PREDICT_PROBA('vote', a, b, class => 'yes') AS p FROM t;
-- scored 10

-- other values stay other values
SELECT PREDICT('pair', a, b) AS s, PREDICT('pair', b, a) AS r FROM t;
-- becomes
SELECT PREDICT('pair', a, b) AS s, PREDICT('pair', b, a) AS r FROM t;
-- scored 10

-- two models of one file
SELECT PREDICT('pair', a, b) AS s, PREDICT('named', a, b) AS r FROM t;
-- becomes
SELECT PREDICT('pair', a, b) AS s, PREDICT('named', a, b) AS r FROM t;
-- scored 5

-- two tables have the column
SELECT PREDICT('pair', x.a, x.b) AS s, PREDICT('pair', y.a, y.b) AS r FROM t AS x JOIN t AS y USING (id);
-- becomes
SELECT PREDICT('pair', x.a, x.b) AS s, PREDICT('pair', y.a, y.b) AS r FROM t AS x JOIN t AS y USING (id);
-- scored 10

-- in a join the table that alone has the column
SELECT PREDICT('pair', a, d) AS s, PREDICT('pair', t.a, u.d) AS r, PREDICT('pair', t.id, d) AS q, PREDICT('pair', u.id, d) AS p FROM t JOIN u ON t.id < u.id;
-- becomes
SELECT PREDICT('pair', a, d) AS s, PREDICT('pair', a, d) AS r, PREDICT('pair', t.id, d) AS q, PREDICT('pair', u.id, d) AS p FROM t JOIN u ON t.id < u.id;
-- scored 21

-- a variable of a lambda is no column
SELECT list_transform([7], a -> PREDICT('pair', a, b)) AS s, PREDICT('pair', t.a, b) AS r FROM t;
-- becomes
SELECT list_transform([7], LAMBDA a : PREDICT('pair', a, b)) AS s, PREDICT('pair', t.a, b) AS r FROM t;
-- scored 10

-- in the order the alias is meant
SELECT b AS a, PREDICT('pair', t.a, b) AS s FROM t ORDER BY PREDICT('pair', a, b), id;
-- becomes
SELECT b AS a, PREDICT('pair', t.a, b) AS s FROM t ORDER BY PREDICT('pair', a, b), id;
-- scored 5

-- chance stays chance
SELECT PREDICT('pair', random() * 0 + a, b) AS s, PREDICT('pair@1', random() * 0 + a, b) AS r FROM t;
-- becomes
SELECT PREDICT('pair', random() * 0 + a, b) AS s, PREDICT('pair@1', random() * 0 + a, b) AS r FROM t;
-- scored 10
