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
	Quit      time.Duration // QUIT and RSET; 5 s: nothing depends on the reply
}
