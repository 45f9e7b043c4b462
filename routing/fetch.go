package routing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A FetchMethod is a way to ask a provider for the mail that it holds for us.
type FetchMethod uint8

const (
	// FetchETRN asks by ETRN (RFC 1985): the provider connects to our own
	// server.
	FetchETRN FetchMethod = iota
	// FetchATRN asks by ATRN (RFC 2645): the connection turns round and the
	// mail comes over it. It needs authentication.
	FetchATRN
	// FetchTURN is the old TURN (RFC 821), without any proof who we are unless
	// the Transport authenticates.
	FetchTURN
)

func (m FetchMethod) String() string {
	if int(m) < len(fetchVerbs) {
		return fetchVerbs[m]
	}
	return fmt.Sprintf("FetchMethod(%d)", uint8(m))
}

var fetchVerbs = [...]string{"ETRN", "ATRN", "TURN"}

// A Fetcher asks a provider for our mail, once or on a schedule. Its fields
// must not change once it is in use.
type Fetcher struct {
	// Transport connects, with TLS and authentication as it is set up.
	Transport *smtpclient.Transport
	// Provider is the provider's host. It need not be the one that our own
	// mail goes to.
	Provider SmartHost
	// Resolver finds it. Default as Router.Resolver.
	Resolver Resolver

	Method FetchMethod
	// Domains to ask for: ETRN sends a command for each; ATRN all in one, or
	// none where there are none; TURN has none.
	Domains []string
	// Serve takes the mail from a connection that has turned round (ATRN,
	// TURN): a smtpserver.Server's method of that name. It gets a listener
	// with just that connection, and returns when the listener ends. When the
	// context of Fetch or Run does, the listener is closed but not the
	// connection: the server's Shutdown lets the message in hand be finished.
	Serve func(net.Listener) error
	// Taken is how many messages the server behind Serve has taken over so far,
	// as smtpserver.Counters.Messages. By it a fetch knows how many came; a
	// server that also listens elsewhere makes that a guess. Default: not known.
	Taken func() int64

	// Interval is how often Run asks. Default 15 minutes.
	Interval time.Duration
	// Schedule is when Run asks at all; nil is always.
	Schedule *Schedule
	// Logger gets a line for each time that it asks, with the number of
	// messages that came where that is known; nil is silent.
	Logger *slog.Logger
}

const defaultFetchInterval = 15 * time.Minute

// Run asks at once and then at every Interval within the Schedule, until ctx
// ends. Errors are logged.
func (f *Fetcher) Run(ctx context.Context) {
	interval := f.Interval
	if interval <= 0 {
		interval = defaultFetchInterval
	}
	for {
		wait := interval
		now := time.Now()
		if opens := f.Schedule.Opens(now); opens.Equal(now) {
			n, err := f.FetchMail(ctx)
			if f.Logger != nil && ctx.Err() == nil {
				attrs := []any{"provider", f.Provider.Host, "method", f.Method.String()}
				if n >= 0 {
					attrs = append(attrs, "messages", n)
				}
				f.Logger.Info("asked for mail", append(attrs, "err", err)...)
			}
		} else if opens.IsZero() {
			return // never again
		} else {
			wait = opens.Sub(now)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// ErrNoMail is what Fetch returns when the provider holds no mail for us.
var ErrNoMail = errors.New("routing: the provider holds no mail")

// Fetch asks once. With ATRN and TURN it returns when the mail is in, as far as
// the provider had any (ErrNoMail). A refusal is a *smtp.SMTPError.
func (f *Fetcher) Fetch(ctx context.Context) error {
	_, err := f.FetchMail(ctx)
	return err
}

// FetchMail is Fetch, and tells how many messages came; -1 where that is not
// known: without Taken, and with ETRN, whose mail comes by connections of the
// provider's own. There is a number also where there is an error.
func (f *Fetcher) FetchMail(ctx context.Context) (messages int, err error) {
	if f.Method == FetchETRN || f.Taken == nil {
		return -1, f.fetch(ctx)
	}
	before := f.Taken()
	err = f.fetch(ctx)
	return int(f.Taken() - before), err
}

func (f *Fetcher) fetch(ctx context.Context) error {
	c, err := f.dial(ctx)
	if err != nil {
		return fmt.Errorf("asking %s for mail: %w", f.Provider.Host, err)
	}
	defer c.Close()
	if f.Method == FetchETRN {
		err = f.etrn(ctx, c)
	} else {
		err = f.turn(ctx, c)
	}
	if err != nil && !errors.Is(err, ErrNoMail) {
		return fmt.Errorf("asking %s for mail: %w", f.Provider.Host, err)
	}
	return err
}

func (f *Fetcher) dial(ctx context.Context) (*smtpclient.Client, error) {
	host, err := parseSmartHost(f.Provider)
	if err != nil {
		return nil, err
	}
	if f.Method != FetchETRN && f.Serve == nil {
		return nil, errors.New("nobody to take the mail: Serve is nil")
	}
	find := &finder{resolver: f.Resolver, port: host.port,
		isName: func(string) bool { return false }, isAddr: func(netip.AddrPort) bool { return false }}
	if find.resolver == nil {
		find.resolver = &DNSResolver{}
	}
	return f.Transport.Dial(ctx, &smtpclient.Destination{Name: host.String(),
		Hosts: func(ctx context.Context) ([]smtpclient.Host, error) { return find.smartHost(ctx, &host) }})
}

// etrn asks for one domain after the other. It is an error only when none of
// them was granted.
func (f *Fetcher) etrn(ctx context.Context, c *smtpclient.Client) error {
	if len(f.Domains) == 0 {
		return errors.New("ETRN needs a domain")
	}
	var errs []error
	waiting := false
	for _, d := range f.Domains {
		r, err := c.Command(ctx, "ETRN "+d)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		waiting = waiting || r.Code != 251 // RFC 1985, 5.2: no messages waiting
	}
	c.Quit(ctx) // whatever it says, the requests stand
	switch {
	case len(errs) > 0:
		return errors.Join(errs...)
	case !waiting:
		return ErrNoMail
	}
	return nil
}

// turn asks for the connection to be turned round, and serves it.
func (f *Fetcher) turn(ctx context.Context, c *smtpclient.Client) error {
	command := f.Method.String()
	if f.Method == FetchATRN && len(f.Domains) > 0 {
		command += " " + strings.Join(f.Domains, ",")
	}
	_, err := c.Command(ctx, command)
	var refusal *smtp.SMTPError
	if errors.As(err, &refusal) && refusal.Code == 453 { // RFC 2645, 5.1: you have no mail
		c.Quit(ctx)
		return ErrNoMail
	}
	if err != nil {
		return err
	}
	l := newOneConn(c.Detach())
	defer context.AfterFunc(ctx, func() { l.Close() })()
	if err := f.Serve(l); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return ctx.Err()
}

// oneConn is a listener with one connection. Its second Accept waits until
// that connection or the listener is closed.
type oneConn struct {
	conn  net.Conn
	first chan struct{}
	ended chan struct{}
	once  sync.Once
}

func newOneConn(c net.Conn) *oneConn {
	l := &oneConn{first: make(chan struct{}, 1), ended: make(chan struct{})}
	l.conn = &watchedConn{Conn: c, closed: l.end}
	l.first <- struct{}{}
	return l
}

func (l *oneConn) end() { l.once.Do(func() { close(l.ended) }) }

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case <-l.first:
		return l.conn, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

// Close leaves a connection that was accepted to who has accepted it.
func (l *oneConn) Close() error {
	l.end()
	select {
	case <-l.first:
		return l.conn.Close()
	default:
		return nil
	}
}

func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

// watchedConn tells when it is closed.
type watchedConn struct {
	net.Conn
	closed func()
}

func (c *watchedConn) Close() error {
	err := c.Conn.Close()
	c.closed()
	return err
}
