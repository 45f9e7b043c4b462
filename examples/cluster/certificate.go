package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
)

// A certificate is the one of -cert and -key. A node reads it again when it gets SIGHUP.
type certificate struct {
	cert, key string // files
	now       atomic.Pointer[tls.Certificate]
}

// load reads the files. If they are not valid, the previous certificate stays in use.
func (c *certificate) load() error {
	if c.cert == "" || c.key == "" {
		return errors.New("-cert: -cert and -key are required together")
	}
	var texts [2][]byte
	for i, path := range []string{c.cert, c.key} {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("-%s: %w", []string{"cert", "key"}[i], err)
		}
		texts[i] = bytes.TrimPrefix(text, []byte("\ufeff")) // a byte order mark
	}
	pair, err := tls.X509KeyPair(texts[0], texts[1])
	if err != nil {
		return fmt.Errorf("-cert: %s with -key %s: %w", c.cert, c.key, err)
	}
	c.now.Store(&pair)
	return nil
}

// config returns the settings of TLS for the server; nil without -cert.
func (c *certificate) config() (*tls.Config, error) {
	if c.cert == "" && c.key == "" {
		return nil, nil
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil }}, nil
}

// hangups reads the certificate again for each SIGHUP, until the channel is closed. The
// other settings change with a restart of the node. SIGHUP never ends the node.
func (c *certificate) hangups(hup <-chan os.Signal, log *slog.Logger) {
	for range hup {
		if c.cert == "" {
			log.Warn("SIGHUP has no effect without -cert: restart the node to change its settings")
		} else if err := c.load(); err != nil {
			log.Error("not reloaded, the previous certificate stays in use", "error", err)
		} else {
			log.Info("reloaded", "cert", c.cert)
		}
	}
}
