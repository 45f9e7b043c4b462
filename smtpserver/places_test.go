package smtpserver_test

import (
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// crowded is a server with ten places for clients from any address, most of
// which are soon taken.
func crowded(t *testing.T) *smtpserver.Server {
	srv := withTLS(t, smtpserver.TLSOffered)
	srv.Auth, srv.AllowInsecureAuth = wonderland(), true
	srv.Limits = smtpserver.Limits{Connections: 10, Exempt: []netipPrefix{anywhere}}
	return srv
}

// A hold is a way to take a place without sending mail.
type hold struct {
	name  string
	begin func(c *raw)
	drip  string        // what the client sends again and again
	every time.Duration // the time between
}

func holds() []hold {
	toMail := func(c *raw) {
		c.greet()
		c.send("MAIL FROM:<a@example.com>\r\n")
		c.expect("250")
		c.send("RCPT TO:<b@example.com>\r\n")
		c.expect("250")
	}
	toData := func(c *raw) {
		toMail(c)
		c.send("DATA\r\n")
		c.expect("354")
	}
	return []hold{
		{name: "silent before EHLO", begin: func(c *raw) { c.expect("220") }},
		{name: "silent after EHLO", begin: (*raw).greet},
		{name: "silent in DATA", begin: toData},
		{name: "silent in a chunk", begin: func(c *raw) {
			toMail(c)
			c.send("BDAT 1000\r\nSubject: x\r\n")
		}},
		{name: "silent between chunks", begin: func(c *raw) {
			toMail(c)
			c.send("BDAT 1\r\nx")
			c.expect("250")
		}},
		{name: "silent in the handshake", begin: func(c *raw) {
			c.greet()
			c.send("STARTTLS\r\n")
			c.expect("220")
		}},
		{name: "silent in AUTH", begin: func(c *raw) {
			c.greet()
			c.send("AUTH LOGIN\r\n")
			c.expect("334")
		}},
		{name: "slow command", begin: (*raw).greet, drip: "x", every: 3 * time.Second},
		{name: "slow DATA", begin: toData, drip: "x", every: 3 * time.Second},
		{name: "slow DATA in lines", begin: toData, drip: "Subject: x\r\n", every: time.Second},
		{name: "slow chunk", begin: func(c *raw) {
			toMail(c)
			c.send("BDAT 100000\r\n")
		}, drip: "x", every: 3 * time.Second},
		{name: "empty chunks", begin: toMail, drip: "BDAT 0\r\n", every: 3 * time.Second},
		{name: "NOOP", begin: (*raw).greet, drip: "NOOP\r\n", every: 3 * time.Second},
		{name: "slow handshake", begin: func(c *raw) {
			c.greet()
			c.send("STARTTLS\r\n")
			c.expect("220")
			c.send("\x16\x03\x01\x02\x00")
		}, drip: "\x01", every: 3 * time.Second},
		{name: "slow AUTH", begin: func(c *raw) {
			c.greet()
			c.send("AUTH LOGIN\r\n")
			c.expect("334")
		}, drip: "x", every: 3 * time.Second},
	}
}

// start runs the hold on a connection until it is closed. It returns what the
// server sends.
func (h *hold) start(c *raw, clients *sync.WaitGroup) (said *string) {
	h.begin(c)
	said = new(string)
	clients.Go(func() {
		b, _ := io.ReadAll(c.r)
		*said = string(b)
	})
	if h.drip != "" {
		clients.Go(func() {
			for {
				if _, err := io.WriteString(c.Conn, h.drip); err != nil {
					return
				}
				time.Sleep(h.every)
			}
		})
	}
	return said
}

// When slow clients have taken all places, whatever they do there, a new client
// gets one within 15 seconds.
func TestSlowClientsLosePlaces(t *testing.T) {
	for _, h := range holds() {
		t.Run(h.name, func(t *testing.T) {
			inBubble(t, crowded(t), func(dial func() *raw) {
				var clients sync.WaitGroup
				var slow []*raw
				for range 10 {
					c := dial()
					slow = append(slow, c)
					h.start(c, &clients)
				}
				began := time.Now()
				for {
					c := dial()
					got := c.reply()
					c.Close()
					if strings.HasPrefix(got, "220") {
						break
					}
					wantReply(t, got, "421 4.7.0 Too many connections")
					if time.Since(began) > 15*time.Second {
						t.Fatal("no place after 15 s")
					}
					time.Sleep(500 * time.Millisecond)
				}
				t.Logf("a place was free after %v", time.Since(began))
				for _, c := range slow {
					c.Close()
				}
				clients.Wait()
			})
		})
	}
}

// Clients that began to be slow before the places became scarce lose them too.
// The slowest one goes first, with 421. One session ends for each client that
// got no place.
func TestSlowestClientLosesItsPlace(t *testing.T) {
	inBubble(t, crowded(t), func(dial func() *raw) {
		var clients sync.WaitGroup
		var said []*string
		var all []*raw
		enter := func(h hold) {
			c := dial()
			all = append(all, c)
			said = append(said, h.start(c, &clients))
		}
		inData := holds()[2]
		for range 8 { // not yet overloaded
			enter(inData)
			time.Sleep(2 * time.Second)
		}
		busy := hold{name: "moving", begin: inData.begin, drip: strings.Repeat("x", 598) + "\r\n", every: time.Second}
		enter(busy)
		enter(busy)
		time.Sleep(time.Minute)
		for i := range 3 {
			c := dial()
			c.expect("421 4.7.0 Too many connections")
			c.Close()
			time.Sleep(time.Second)
			synctest.Wait()
			for k, s := range said {
				if gone := *s != ""; gone != (k <= i) {
					t.Errorf("after %d clients, session %d has ended: %v", i+1, k, gone)
				}
			}
			enter(holds()[1]) // gets the place
		}
		wantReply(t, *said[0], "421 4.3.2 Server is busy, and this session is too slow")
		for _, c := range all {
			c.Close()
		}
		clients.Wait()
	})
}

// Clients that keep moving are not cut, however many others want a place: not
// those that send at the minimum rate, not those with a round trip of a second.
func TestMovingClientsKeepTheirPlaces(t *testing.T) {
	inBubble(t, crowded(t), func(dial func() *raw) {
		var clients sync.WaitGroup
		message := func(c *raw) {
			c.begin()
			for range 120 {
				time.Sleep(time.Second)
				c.send(strings.Repeat("x", 498) + "\r\n")
			}
			c.send(".\r\n")
			c.expect("250")
		}
		far := func(c *raw) { // a round trip of a second
			for range 3 {
				c.send("MAIL FROM:<a@example.com>\r\n")
				c.expect("250")
				for range 30 {
					time.Sleep(time.Second)
					c.send("RCPT TO:<b@example.com>\r\n")
					c.expect("250")
				}
				time.Sleep(time.Second)
				c.send("DATA\r\n")
				c.expect("354")
				time.Sleep(time.Second)
				c.send("Subject: x\r\n\r\n.\r\n")
				c.expect("250")
				time.Sleep(time.Second)
			}
		}
		for i := range 10 {
			c := dial()
			c.greet()
			clients.Go(func() {
				defer c.Close()
				if i%2 == 0 {
					message(c)
				} else {
					far(c)
				}
			})
		}
		for range 85 {
			c := dial()
			c.expect("421 4.7.0 Too many connections")
			c.Close()
			time.Sleep(time.Second)
		}
		clients.Wait()
	})
}

// Clients that are turned away do not take places while their sessions end.
func TestTurnedAwayClientsTakeNoPlaces(t *testing.T) {
	srv := crowded(t)
	srv.Limits.OverloadPercent = -1
	inBubble(t, srv, func(dial func() *raw) {
		var in, out []*raw
		for range 10 {
			c := dial()
			c.expect("220")
			in = append(in, c)
		}
		for range 20 {
			out = append(out, dial()) // does not read the reply
		}
		synctest.Wait()
		in[0].quit()
		synctest.Wait()
		dial().expect("220")
		for _, c := range append(in[1:], out...) {
			c.Close()
		}
	})
}

// Without OverloadPercent, no session ends because others want its place.
func TestNoOverload(t *testing.T) {
	srv := crowded(t)
	srv.Limits.OverloadPercent = 100
	inBubble(t, srv, func(dial func() *raw) {
		for range 10 {
			dial().greet()
		}
		for range 30 {
			c := dial()
			c.expect("421 4.7.0 Too many connections")
			c.Close()
			time.Sleep(time.Second)
		}
	})
}

// Under overload the server does not delay replies for long: the delay takes a
// place, too.
func TestOverloadShortensDelays(t *testing.T) {
	srv := crowded(t)
	srv.Limits.Tarpit, srv.BannerDelay = time.Minute, time.Minute
	inBubble(t, srv, func(dial func() *raw) {
		var all []*raw
		for range 8 {
			all = append(all, dial())
		}
		synctest.Wait()
		c := dial()
		took(t, 10*time.Second, func() { c.expect("220") })
		took(t, time.Second, func() {
			c.send("EHLO client.example\r\n")
			c.expect("250")
			c.login("guess", wrongLogin)
		})
		for _, c := range append(all, c) {
			c.Close()
		}
	})
}
