package smtpclient

import "time"

// Timeouts are the timeouts of the phases of a session. Each timeout is for one
// reply or one write. Zero means the default, which is the minimum of RFC 5321,
// 4.5.3.2 if there is one.
type Timeouts struct {
	Connect   time.Duration // the connection to one address; 30 s (Postfix)
	Greeting  time.Duration // the greeting; 5 min (4.5.3.2.1)
	Hello     time.Duration // EHLO, HELO, LHLO, STARTTLS, AUTH and other commands; 5 min
	Handshake time.Duration // the TLS handshake; 1 min
	Mail      time.Duration // MAIL and RSET; 5 min (4.5.3.2.2)
	Rcpt      time.Duration // RCPT; 5 min (4.5.3.2.3)
	DataInit  time.Duration // the reply to DATA; 2 min (4.5.3.2.4)
	DataBlock time.Duration // each write of content; 3 min (4.5.3.2.5)
	DataDone  time.Duration // the reply to the end of data; 10 min (4.5.3.2.6)
	Quit      time.Duration // QUIT; 5 s, because the reply does not matter
}

func (t *Timeouts) connect() time.Duration   { return or(t.Connect, 30*time.Second) }
func (t *Timeouts) greeting() time.Duration  { return or(t.Greeting, 5*time.Minute) }
func (t *Timeouts) hello() time.Duration     { return or(t.Hello, 5*time.Minute) }
func (t *Timeouts) handshake() time.Duration { return or(t.Handshake, time.Minute) }
func (t *Timeouts) mail() time.Duration      { return or(t.Mail, 5*time.Minute) }
func (t *Timeouts) rcpt() time.Duration      { return or(t.Rcpt, 5*time.Minute) }
func (t *Timeouts) dataInit() time.Duration  { return or(t.DataInit, 2*time.Minute) }
func (t *Timeouts) dataBlock() time.Duration { return or(t.DataBlock, 3*time.Minute) }
func (t *Timeouts) dataDone() time.Duration  { return or(t.DataDone, 10*time.Minute) }
func (t *Timeouts) quit() time.Duration      { return or(t.Quit, 5*time.Second) }

// or returns v, or def if v is zero.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
