package console

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	readTime   = 30 * time.Second
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	maxHeader  = 32 << 10
	// maxConnections is the maximum number of connections to one listener.
	maxConnections = 200
	// shutdownTime is how long requests may take after the end of Run's context.
	shutdownTime = 2 * time.Second
)

// Run listens on Address and on Socket, and serves until ctx ends. It is a
// function for Gateway.Tasks. It first calls Validate and returns its error. A
// Console may run only once.
func (c *Console) Run(ctx context.Context) error {
	if err := c.setup(); err != nil {
		return err
	}
	if c.Address == "" && c.Socket == "" {
		return errors.New("console: Address and Socket are not set")
	}
	listeners, err := c.listen()
	if err != nil {
		return err
	}
	defer c.audit.close()
	// Streams end with the relay, and not with their time.
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler: c, ReadTimeout: readTime, ReadHeaderTimeout: headerTime, WriteTimeout: maxTime + readTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return base },
		ConnContext: withPeer,
		ErrorLog:    slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	counted := make(chan struct{}) // the first count of a large queue takes a moment
	go func() {
		defer close(counted)
		c.live.get(base, c.Gateway.Queue)
	}()
	defer func() { <-counted }()
	served := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { served <- srv.Serve(l) }()
	}
	select {
	case <-ctx.Done():
		err = nil
	case err = <-served:
		served <- err
	}
	cancel()
	soft, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer done()
	if srv.Shutdown(soft) != nil {
		srv.Close()
	}
	for range listeners {
		if e := <-served; err == nil && !errors.Is(e, http.ErrServerClosed) {
			err = e
		}
	}
	return err
}

// listen opens the sockets, or none.
func (c *Console) listen() (all []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range all {
				l.Close()
			}
		}
	}()
	if c.Address != "" {
		l, err := net.Listen("tcp", c.Address)
		if err != nil {
			return all, fmt.Errorf("console: Address: %w", err)
		}
		at := l.Addr()
		l = limit(l, maxConnections)
		scheme := "http"
		if c.TLSConfig != nil {
			config := c.TLSConfig.Clone()
			config.NextProtos = []string{"http/1.1"}
			l, scheme = tls.NewListener(l, config), "https"
		}
		all = append(all, l)
		c.announce(scheme, at)
	}
	if c.Socket != "" {
		l, err := listenSocket(c.Socket)
		if err != nil {
			return all, fmt.Errorf("console: Socket: %w", err)
		}
		all = append(all, limit(l, maxConnections))
		c.log.Info("console: listening", "socket", c.Socket)
	}
	return all, nil
}

// announce logs the URL of the console, and prints it with the token.
func (c *Console) announce(scheme string, at net.Addr) {
	host, _, _ := net.SplitHostPort(c.Address)
	_, port, _ := net.SplitHostPort(at.String())
	u := url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port), Path: c.path()}
	c.log.Info("console: listening", "url", u.String())
	if c.Authorize == nil && c.TokenFile == "" {
		u.RawQuery = url.Values{"token": {c.token.secret}}.Encode()
		c.Print(u.String())
	}
}

// path returns the path of the first page.
func (c *Console) path() string {
	if c.Prefix == "" || c.Prefix == "/" {
		return "/"
	}
	return c.Prefix + "/"
}
