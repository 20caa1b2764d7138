BEGIN TRANSACTION;
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY, content INTEGER NOT NULL, key NOT NULL, start_byte INTEGER NOT NULL,
    end_byte INTEGER NOT NULL, start_line INTEGER NOT NULL, end_line INTEGER NOT NULL, piece INTEGER NOT NULL,
    offset INTEGER NOT NULL, size INTEGER NOT NULL, kind NOT NULL, symbol TEXT, hash NOT NULL, language TEXT,
    definition INTEGER NOT NULL, definitions INTEGER NOT NULL
);
INSERT INTO "chunk" VALUES(1,1,X'CD22D81A265EFA6943326C9BD34B51C2',0,18,1,2,1,0,18,1,NULL,X'3B54523D9A8C9891DCD936356CF879DC',NULL,1,1);
INSERT INTO "chunk" VALUES(2,2,X'EFF9F429DA84F9B46ED34FBBED2E9FD7',0,17,1,2,2,0,17,1,NULL,X'19642262F97409BDE2F323EBE43B4905',NULL,2,1);
INSERT INTO "chunk" VALUES(3,3,X'642D707A93CC1037D00D2D4EBDB25E8D',0,19,1,2,3,0,19,1,NULL,X'2F9E26A49569CB9594ABF8DC831C3718',NULL,3,1);
CREATE TABLE content (
    id INTEGER PRIMARY KEY, blob NOT NULL, shape BLOB NOT NULL, language TEXT NOT NULL, bytes INTEGER NOT NULL,
    tiled INTEGER NOT NULL, chunk INTEGER NOT NULL, chunks INTEGER NOT NULL, piece INTEGER NOT NULL,
    pieces INTEGER NOT NULL, definition INTEGER NOT NULL, definitions INTEGER NOT NULL
);
INSERT INTO "content" VALUES(1,X'9E28CD821FB29FBEA3442EB36F64FD6C64176F97',X'64FEBAEFF8457F07','python',18,1,1,1,1,1,1,1);
INSERT INTO "content" VALUES(2,X'1DB1D6E66D20CF464EF71577D681FF76680342F0',X'2E63F0524E554E0F','python',17,1,2,1,2,1,2,1);
INSERT INTO "content" VALUES(3,X'E70D8F7BB1120D172C1C6EAD0C622FF9B9185B86',X'FD11D678A4A45CA0','python',19,1,3,1,3,1,3,1);
CREATE TABLE counter (repo_id TEXT PRIMARY KEY, last INTEGER NOT NULL, opened INTEGER) WITHOUT ROWID;
INSERT INTO "counter" VALUES('example/repo',3,NULL);
CREATE TABLE definition (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, content INTEGER NOT NULL, chunk INTEGER NOT NULL, kind NOT NULL,
    line INTEGER NOT NULL
);
INSERT INTO "definition" VALUES(1,'kept',1,1,1,1);
INSERT INTO "definition" VALUES(2,'old',2,2,1,1);
INSERT INTO "definition" VALUES(3,'newer',3,3,1,1);
CREATE TABLE fence (
    repo_id TEXT PRIMARY KEY, adapter TEXT NOT NULL, store_id TEXT NOT NULL, fence INTEGER
) WITHOUT ROWID;
INSERT INTO "fence" VALUES('example/repo','memory','lock',6);
CREATE TABLE generation (
    repo INTEGER NOT NULL, generation INTEGER NOT NULL, base INTEGER, sealed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (repo, generation)
) WITHOUT ROWID;
INSERT INTO "generation" VALUES(1,1,NULL,1);
INSERT INTO "generation" VALUES(1,2,1,1);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('schema_version','1');
INSERT INTO "meta" VALUES('store_id','46b98d326958ffcf9eaf78e7d7ab8c61');
CREATE TABLE piece (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
INSERT INTO "piece" VALUES(1,X'785E4B494D53C84E2D28E152008282C4E2622E003567054F');
INSERT INTO "piece" VALUES(2,X'785E4B494D53C8CF49E152008282C4E2622E002DDF04DA');
INSERT INTO "piece" VALUES(3,X'785E4B494D53C84B2D4F2DE252008282C4E2622E003D2505BC');
CREATE TABLE placement (
    id INTEGER PRIMARY KEY, repo INTEGER NOT NULL, path TEXT NOT NULL, born INTEGER NOT NULL, died INTEGER,
    content INTEGER NOT NULL, mode INTEGER NOT NULL
);
INSERT INTO "placement" VALUES(1,1,'src/kept.py',1,NULL,1,33188);
INSERT INTO "placement" VALUES(2,1,'src/old.py',1,2,2,33188);
INSERT INTO "placement" VALUES(3,1,'src/old.py',2,NULL,3,33188);
CREATE TABLE publication (
    repo_id TEXT NOT NULL, generation INTEGER NOT NULL, base INTEGER, snapshot TEXT NOT NULL, revision TEXT NOT NULL,
    dirty INTEGER, files INTEGER NOT NULL, chunks INTEGER NOT NULL, bytes INTEGER NOT NULL, published_at REAL NOT NULL,
    stores TEXT NOT NULL, skipped TEXT NOT NULL, PRIMARY KEY (repo_id, generation)
) WITHOUT ROWID;
INSERT INTO "publication" VALUES('example/repo',1,NULL,'worktree','c0',0,2,2,40,1000000.0,'[["chunks", "sqlite", "46b98d326958ffcf9eaf78e7d7ab8c61", "sqlite-chunks-1+lines-1"]]','{"binary": 1}');
INSERT INTO "publication" VALUES('example/repo',2,1,'worktree','c1',0,2,2,40,1000100.0,'[["chunks", "sqlite", "46b98d326958ffcf9eaf78e7d7ab8c61", "sqlite-chunks-1+lines-1"]]','{"binary": 1}');
INSERT INTO "publication" VALUES('example/repo',3,2,'rev:v1','c2',0,2,2,40,1000200.0,'[["chunks", "sqlite", "46b98d326958ffcf9eaf78e7d7ab8c61", "sqlite-chunks-1+lines-1"]]','{"binary": 1}');
CREATE TABLE repo (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, highest INTEGER NOT NULL DEFAULT 0);
INSERT INTO "repo" VALUES(1,'example/repo',2);
CREATE TABLE repository (
    repo_id TEXT PRIMARY KEY, root TEXT NOT NULL, origin TEXT NOT NULL, source TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "repository" VALUES('example/repo','/checkout/repo','example.org/repo','git');
CREATE TABLE shown (
    repo_id TEXT NOT NULL, snapshot TEXT NOT NULL, generation INTEGER NOT NULL, PRIMARY KEY (repo_id, snapshot)
) WITHOUT ROWID;
INSERT INTO "shown" VALUES('example/repo','rev:v1',3);
INSERT INTO "shown" VALUES('example/repo','worktree',2);
CREATE TABLE skipped (
    repo_id TEXT NOT NULL, generation INTEGER NOT NULL, path TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
    PRIMARY KEY (repo_id, generation, path)
) WITHOUT ROWID;
INSERT INTO "skipped" VALUES('example/repo',1,'logo.png','binary','');
INSERT INTO "skipped" VALUES('example/repo',2,'logo.png','binary','');
INSERT INTO "skipped" VALUES('example/repo',3,'logo.png','binary','');
CREATE UNIQUE INDEX idx_content_blob ON content (blob, shape);
CREATE UNIQUE INDEX idx_placement_path ON placement (repo, path, born);
CREATE INDEX idx_chunks_repo_snapshot ON placement (repo, born, died);
CREATE INDEX idx_placement_content ON placement (content);
CREATE INDEX idx_chunks_file_span ON chunk (content, start_line, end_line);
CREATE INDEX idx_chunks_content_hash ON chunk (hash);
CREATE INDEX idx_chunks_symbol ON definition (name);
COMMIT;
PRAGMA application_id=1129404721;
PRAGMA user_version=1;
