package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5/pgconn"
)

// errOutcomeUnknown is the error of a transaction of which the Store does not know
// whether it was committed: the connection broke before the answer came, or the
// transaction is committed on the primary but may be missing on a synchronous standby.
var errOutcomeUnknown = errors.New("the outcome of the transaction is unknown")

// A dbError is an error of the database. Its text has no SQL, no URL and no password.
type dbError struct {
	text    string
	kind    error // queue.ErrUnavailable, queue.ErrFull or nil
	unknown bool  // the outcome of the transaction is unknown
	cause   error // a *pgconn.PgError, an error of a context, or nil
}

func (e *dbError) Error() string {
	text := "postgres: " + e.text
	if e.kind != nil {
		text = e.kind.Error() + ": " + text
	}
	if e.unknown {
		text += "; " + errOutcomeUnknown.Error()
	}
	return text
}

func (e *dbError) Unwrap() []error {
	var all []error
	if e.kind != nil {
		all = append(all, e.kind)
	}
	if e.unknown {
		all = append(all, errOutcomeUnknown)
	}
	if e.cause != nil {
		all = append(all, e.cause)
	}
	return all
}

// newError returns the error of the Store for an error of pgx.
func newError(err error, unknown bool) *dbError {
	if e, ok := errors.AsType[*dbError](err); ok {
		return &dbError{text: e.text, kind: e.kind, unknown: e.unknown || unknown, cause: e.cause}
	}
	e := &dbError{text: errorText(err), unknown: unknown}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		if isPooler(pg) {
			e.text = noPooler + " (" + e.text + ")"
		}
		e.kind, e.cause = kindOf(pg), pg
		return e
	}
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ended) {
			e.cause = ended
		}
	}
	switch {
	case unknown || isConnectionError(err):
		e.kind = queue.ErrUnavailable
	case e.cause == nil:
		e.cause = err // not of the database: a content cannot be read, for example
	}
	return e
}

// errorText returns the text of an error of pgx. A ConnectError begins with parts of the
// URL. What follows has the address of each server that was tried, and the reason.
func errorText(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgText(pg, err)
	}
	if c, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		err = c.Unwrap()
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// pgText returns the text of an error of the server. The details are left out, because
// they may have data of messages.
func pgText(pg *pgconn.PgError, err error) string {
	if c, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return strings.ReplaceAll(c.Unwrap().Error(), "\n", "; ")
	}
	return pg.Message + " (SQLSTATE " + pg.Code + ")"
}

// kindOf returns the error of package queue for an error of the server. The codes are
// those of appendix A of the PostgreSQL documentation.
func kindOf(pg *pgconn.PgError) error {
	switch pg.Code {
	case "53100": // disk full
		return queue.ErrFull
	case "25006", // read-only transaction: this server is a standby now
		"3D000",                   // the database does not exist
		"53200", "53300", "53400", // out of memory, too many connections, a configured limit
		"55P03",                                     // lock_timeout
		"57014",                                     // statement_timeout, or an operator canceled it
		"57P01", "57P02", "57P03", "57P04", "57P05": // the server shuts down, crashed, starts
		return queue.ErrUnavailable
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "08", "28": // connection exceptions (also those of PgBouncer), authentication
		return queue.ErrUnavailable
	}
	if isFatal(pg) {
		return queue.ErrUnavailable
	}
	return nil
}

// isWrongSetting reports whether a connection failed because of a setting of the operator:
// the password, the name of the database, TLS.
func isWrongSetting(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "3D000" || strings.HasPrefix(pg.Code, "28") || isPooler(pg)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	return strings.Contains(err.Error(), "server refused TLS connection")
}

// isPooler reports whether pg is what PgBouncer answers to settings that it cannot pass on.
func isPooler(pg *pgconn.PgError) bool {
	return strings.HasPrefix(pg.Message, "unsupported startup parameter")
}

// isFatal reports whether the server ends the connection with this error.
func isFatal(pg *pgconn.PgError) bool {
	s := pg.SeverityUnlocalized
	if s == "" {
		s = pg.Severity
	}
	return s == "FATAL" || s == "PANIC"
}

// isConflict reports whether the transaction was rolled back because of another one, so
// that it can be repeated: serialization failure, deadlock.
func isConflict(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40001" || pg.Code == "40P01")
}

// A dataError is the error of data that cannot be written in any database.
type dataError struct{ error }

func (e *dataError) Unwrap() error { return e.error }

// isBadData reports whether the database refuses a transaction because of its data, and
// not because of the state of the database, which may change: an error of the classes 22
// (data exception), 23 (integrity constraint violation) or 54 (program limit exceeded).
func isBadData(err error) bool {
	if _, ok := errors.AsType[*dataError](err); ok {
		return true
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || len(pg.Code) != 5 || errors.Is(err, errOutcomeUnknown) {
		return false
	}
	switch pg.Code[:2] {
	case "22", "23", "54":
		return true
	}
	return false
}

// isConnectionError reports whether err is about the connection and not about what was
// asked of the database.
func isConnectionError(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return kindOf(pg) == queue.ErrUnavailable
	}
	if isConnect(err) {
		return true
	}
	if _, ok := errors.AsType[*settingError](err); ok {
		return true // found while connecting: after Open, it may become right again
	}
	return errors.Is(err, pgconn.ErrConnClosed) || pgconn.SafeToRetry(err) || pgconn.Timeout(err) ||
		isNetError(err)
}
