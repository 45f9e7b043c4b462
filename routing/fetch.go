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

	"github.com/bridgehead-mail/bridgehead/internal/wall"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A FetchMethod is a command that requests held mail from a provider.
type FetchMethod uint8

const (
	// FetchETRN uses ETRN (RFC 1985): the provider connects to the server of
	// this relay.
	FetchETRN FetchMethod = iota
	// FetchATRN uses ATRN (RFC 2645): the connection is reversed, and the mail
	// comes over it. It needs authentication.
	FetchATRN
	// FetchTURN uses the obsolete TURN (RFC 821). TURN itself has no
	// authentication, so set Auth of the Transport.
	FetchTURN
)

func (m FetchMethod) String() string {
	if int(m) < len(fetchVerbs) {
		return fetchVerbs[m]
	}
	return fmt.Sprintf("FetchMethod(%d)", uint8(m))
}

var fetchVerbs = [...]string{"ETRN", "ATRN", "TURN"}

// A Fetcher requests held mail from a provider, once or on a schedule. Do not
// change its fields after the first use.
type Fetcher struct {
	// Transport makes the connection, with its TLS and authentication
	// settings. It must be set.
	Transport *smtpclient.Transport
	// Provider is the host of the provider. It can differ from the host that
	// outgoing mail is sent to.
	Provider SmartHost
	// Resolver looks up Provider. The default is that of the gateway.Gateway
	// that has the Fetcher in its Parts. If there is none, it is a DNSResolver
	// with the servers of /etc/resolv.conf.
	Resolver Resolver

	// Method is the command that requests the mail. The default is FetchETRN.
	Method FetchMethod
	// Domains are the domains whose mail is requested. With ETRN, the Fetcher
	// sends one command for each domain, and Domains must not be empty. With
	// ATRN, it sends all domains in one command; an empty list means all mail.
	// TURN does not use Domains.
	Domains []string
	// Serve receives the mail from a reversed connection (ATRN, TURN). Set it
	// to the method Serve of a smtpserver.Server. The Fetcher calls it with a
	// listener that has only this connection, and closes the listener when the
	// connection ends. If the context of Fetch or Run ends first, the Fetcher
	// closes the listener but not the connection. To end the connection after
	// the current message, call Shutdown of the server.
	Serve func(net.Listener) error
	// Received returns the number of messages that the server behind Serve has
	// accepted so far, as smtpserver.Counters.Messages does. The Fetcher uses
	// it to count the messages of a fetch. The count is inexact if the server
	// has other listeners. If Received is nil, the number is not known.
	Received func() int64

	// Interval is the time between two requests of Run. The default is 15
	// minutes.
	Interval time.Duration
	// Schedule limits when Run sends requests; nil means always.
	Schedule *Schedule
	// Logger receives a record for each request of Run, with the number of
	// messages if it is known. The default is that of the gateway.Gateway. If
	// there is none, nothing is logged.
	Logger *slog.Logger
	// Clock is for the tests of this module: they set the wall clock, which
	// Schedule follows. The default is the clock of the system.
	Clock *wall.Clock
}

// scheduleCheck is how often Run reads the wall clock while Schedule is closed, because
// the clock can be set in the meantime.
const scheduleCheck = time.Minute

const defaultFetchInterval = 15 * time.Minute

// Run requests mail at once, and then at every Interval within the Schedule,
// until ctx ends. It logs errors.
func (f *Fetcher) Run(ctx context.Context) {
	interval := f.Interval
	if interval <= 0 {
		interval = defaultFetchInterval
	}
	for {
		wait := interval
		now := f.Clock.Now()
		if opens := f.Schedule.NextOpen(now); opens.Equal(now) {
			n, err := f.FetchMail(ctx)
			if f.Logger != nil && ctx.Err() == nil {
				attrs := []any{"provider", f.Provider.Host, "method", f.Method.String()}
				if n >= 0 {
					attrs = append(attrs, "messages", n)
				}
				level := slog.LevelInfo
				if err != nil && !errors.Is(err, ErrNoMail) {
					level = slog.LevelWarn
				}
				f.Logger.Log(ctx, level, "requested mail", append(attrs, "err", err)...)
			}
		} else if opens.IsZero() {
			return // the schedule never opens again
		} else {
			wait = min(opens.Sub(now), scheduleCheck)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// ErrNoMail is returned by Fetch and FetchMail if the provider holds no mail.
var ErrNoMail = errors.New("routing: the provider holds no mail")

// Fetch requests mail once. With ATRN and TURN it returns after the mail has
// arrived, or ErrNoMail. A refusal by the provider is a *smtp.SMTPError.
func (f *Fetcher) Fetch(ctx context.Context) error {
	_, err := f.FetchMail(ctx)
	return err
}

// FetchMail does the same as Fetch and also returns the number of messages that
// arrived. The number is -1 if it is not known: if Received is nil, or with
// ETRN, because the provider then delivers over its own connections. The number
// is also valid if err is not nil.
func (f *Fetcher) FetchMail(ctx context.Context) (messages int, err error) {
	if f.Method == FetchETRN || f.Received == nil {
		return -1, f.fetch(ctx)
	}
	before := f.Received()
	err = f.fetch(ctx)
	return int(f.Received() - before), err
}

func (f *Fetcher) fetch(ctx context.Context) error {
	c, err := f.dial(ctx)
	if err != nil {
		return fmt.Errorf("requesting mail from %s: %w", f.Provider.Host, err)
	}
	defer c.Close()
	if f.Method == FetchETRN {
		err = f.etrn(ctx, c)
	} else {
		err = f.turn(ctx, c)
	}
	if err != nil && !errors.Is(err, ErrNoMail) {
		return fmt.Errorf("requesting mail from %s: %w", f.Provider.Host, err)
	}
	return err
}

func (f *Fetcher) dial(ctx context.Context) (*smtpclient.Client, error) {
	host, err := parseSmartHost(f.Provider)
	if err != nil {
		return nil, err
	}
	if f.Method != FetchETRN && f.Serve == nil {
		return nil, errors.New("cannot receive the mail: Serve is nil")
	}
	if f.Transport == nil {
		return nil, errors.New("Fetcher.Transport is not set")
	}
	if err := f.Transport.Validate(); err != nil {
		return nil, err
	}
	if f.Transport.TLS.Level == smtpclient.TLSDANE {
		if err := checkDNSSEC(f.Resolver); err != nil {
			return nil, err
		}
	}
	find := &finder{resolver: f.Resolver, port: host.port,
		isName: func(string) bool { return false }, isAddr: func(netip.AddrPort) bool { return false }}
	if find.resolver == nil {
		find.resolver = &DNSResolver{}
	}
	return f.Transport.Dial(ctx, &smtpclient.Destination{Name: host.String(),
		Hosts: func(ctx context.Context) ([]smtpclient.Host, error) { return find.smartHost(ctx, &host) }})
}

// etrn sends ETRN for one domain after the other. It tries all domains and
// returns the errors joined.
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
	c.Quit(ctx) // its error does not matter: the requests were accepted
	switch {
	case len(errs) > 0:
		return errors.Join(errs...)
	case !waiting:
		return ErrNoMail
	}
	return nil
}

// turn sends ATRN or TURN and serves the reversed connection.
func (f *Fetcher) turn(ctx context.Context, c *smtpclient.Client) error {
	command := f.Method.String()
	if f.Method == FetchATRN && len(f.Domains) > 0 {
		command += " " + strings.Join(f.Domains, ",")
	}
	_, err := c.Command(ctx, command)
	var refused *smtp.SMTPError
	if errors.As(err, &refused) && refused.Code == 453 { // RFC 2645, 5.1: you have no mail
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

// oneConn is a listener with one connection. Its second Accept waits until the
// connection or the listener is closed.
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

// Close does not close a connection that was accepted.
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

// watchedConn calls closed when it is closed.
type watchedConn struct {
	net.Conn
	closed func()
}

func (c *watchedConn) Close() error {
	err := c.Conn.Close()
	c.closed()
	return err
}
