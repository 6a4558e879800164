-- by position, cast to the inputs' types
SELECT id, PREDICT('pair', a, b) FROM t;
-- becomes
SELECT id, predict_pair(struct_pack(i0 := CAST(a AS FLOAT), i1 := CAST(b AS FLOAT))) AS "predict('pair', a, b)" FROM t;
-- same as
SELECT id, (a + 10 * b)::FLOAT FROM t;

-- no cast where the type is the input's own
SELECT PREDICT('pair', a::FLOAT, 1) AS s FROM t;
-- becomes
SELECT predict_pair(struct_pack(i0 := CAST(a AS FLOAT), i1 := CAST(1 AS FLOAT))) AS s FROM t;
-- same as
SELECT (a + 10)::FLOAT FROM t;

-- the row of a table by name
SELECT PREDICT('pair', t) AS s FROM t;
-- becomes
SELECT predict_pair(struct_pack(i0 := CAST(t.a AS FLOAT), i1 := CAST(t.b AS FLOAT))) AS s FROM t;
-- same as
SELECT (a + 10 * b)::FLOAT FROM t;

-- a struct by name, in any order
SELECT PREDICT('pair', {b: id, a: c}) AS s FROM t;
-- becomes
SELECT predict_pair(struct_pack(i0 := CAST(c AS FLOAT), i1 := CAST(id AS FLOAT))) AS s FROM t;
-- same as
SELECT (c + 10 * id)::FLOAT FROM t;

-- a star over a join
SELECT PREDICT('pair', *) AS s FROM t JOIN u ON t.id = u.id;
-- becomes
SELECT predict_pair(struct_pack(i0 := CAST(t.a AS FLOAT), i1 := CAST(t.b AS FLOAT))) AS s FROM t JOIN u ON t.id = u.id;
-- same as
SELECT (a + 10 * b)::FLOAT FROM t JOIN u ON t.id = u.id;

-- one class of a classifier, and all
SELECT PREDICT('vote', a, b) AS l, PREDICT_PROBA('vote', a, a, class => 'yes') AS p, map_keys(PREDICT_PROBA('vote', a, b)) AS k FROM t WHERE a IS NOT NULL;
-- becomes
SELECT predict_vote(struct_pack(i0 := CAST(a AS FLOAT), i1 := CAST(b AS FLOAT))) AS l, proba_class_vote(struct_pack(i0 := CAST(a AS FLOAT), i1 := CAST(a AS FLOAT))) AS p, map_keys(proba_vote(struct_pack(i0 := CAST(a AS FLOAT), i1 := CAST(b AS FLOAT)))) AS k FROM t WHERE NOT a IS NULL;
-- same as
SELECT CASE WHEN a > b THEN 'yes' ELSE 'no' END, 0.5::DOUBLE, ['no', 'yes'] FROM t WHERE a IS NOT NULL;

-- a call inside a call
SELECT PREDICT('pair', PREDICT('pair', a, b), 1) AS s FROM t;
-- becomes
SELECT predict_pair(struct_pack(i0 := predict_pair(struct_pack(i0 := CAST(a AS FLOAT), i1 := CAST(b AS FLOAT))), i1 := CAST(1 AS FLOAT))) AS s FROM t;
-- same as
SELECT (a + 10 * b + 10)::FLOAT FROM t;

-- two models, in a filter and an aggregate
SELECT sum(PREDICT('linear', a, b)) AS s FROM t WHERE PREDICT('pair', a, b) > 4;
-- becomes
SELECT sum(predict_linear(struct_pack(i0 := CAST(a AS FLOAT), i1 := CAST(b AS FLOAT)))) AS s FROM t WHERE predict_pair(struct_pack(i0 := CAST(a AS FLOAT), i1 := CAST(b AS FLOAT))) > 4;
-- same as
SELECT sum(2 * a + b)::DOUBLE FROM t WHERE a + 10 * b > 4;

-- a constant row
SELECT PREDICT('pair', 1, NULL) AS n, PREDICT('pair', 1, 2) AS s;
-- becomes
SELECT predict_pair(struct_pack(i0 := CAST(1 AS FLOAT), i1 := CAST(NULL AS FLOAT))) AS n, predict_pair(struct_pack(i0 := CAST(1 AS FLOAT), i1 := CAST(2 AS FLOAT))) AS s;
-- same as
SELECT NULL, 21::FLOAT;

-- a struct that is a column
SELECT PREDICT('pair', s) AS p FROM (SELECT {a: a, b: c} AS s FROM t) AS q;
-- becomes
SELECT predict_pair(struct_pack(i0 := CAST(s.a AS FLOAT), i1 := CAST(s.b AS FLOAT))) AS p FROM (SELECT {'a': a, 'b': c} AS s FROM t) AS q;
-- same as
SELECT (a + 10 * c)::FLOAT FROM t;
