package smtpclient

import "time"

// Timeouts for the phases of a session. The zero value of each is its default:
// the minimum of RFC 5321, 4.5.3.2, where that has one.
type Timeouts struct {
	Connect   time.Duration // TCP, for each address; 30 s (Postfix)
	Greeting  time.Duration // 5 min (4.5.3.2.1)
	Hello     time.Duration // EHLO, HELO, LHLO, STARTTLS, AUTH and other commands; 5 min
	Handshake time.Duration // TLS; 1 min
	Mail      time.Duration // 5 min (4.5.3.2.2)
	Rcpt      time.Duration // 5 min (4.5.3.2.3)
	DataInit  time.Duration // reply to DATA; 2 min (4.5.3.2.4)
	DataBlock time.Duration // for each write of content; 3 min (4.5.3.2.5)
	DataDone  time.Duration // reply to the end of data; 10 min (4.5.3.2.6)
	Quit      time.Duration // QUIT; 5 s: nothing depends on the reply
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

// or is v, or its default where it is zero.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
