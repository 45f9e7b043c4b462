package console

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/logfile"
)

// Validate returns an error that names each setting that can never work, or that
// would give access to strangers. It creates no file. A gateway.Gateway that has
// the Console in its Parts calls it, and so does Run.
func (c *Console) Validate() error {
	return errors.Join(c.validateGateway(), c.validateAddress(), c.validateToken(), c.validateSocket(), c.validatePrefix(), c.validateHosts(), c.validateAudit())
}

func (c *Console) validateGateway() error {
	switch {
	case c.Gateway == nil:
		return errors.New("console: Gateway is not set")
	case c.Gateway.Queue == nil:
		return errors.New("console: Gateway.Queue is not set")
	}
	return nil
}

func (c *Console) validateAddress() error {
	if c.Address == "" {
		if c.TLSConfig != nil {
			return errors.New("console: TLSConfig is set, but Address is not")
		}
		return nil
	}
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return fmt.Errorf("console: Address: %w", err)
	}
	if !isLoopback(host) {
		switch {
		case c.Authorize == nil:
			return fmt.Errorf("console: Address: %s can be reached from other hosts. It needs TLSConfig and Authorize; without them only a loopback address is possible, for example 127.0.0.1", c.Address)
		case c.TLSConfig == nil:
			return fmt.Errorf("console: Address: %s can be reached from other hosts. It needs TLSConfig", c.Address)
		}
	}
	if t := c.TLSConfig; t != nil && len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil {
		return errors.New("console: TLSConfig has no certificate")
	}
	return nil
}

func (c *Console) validateToken() error {
	if c.TokenFile == "" {
		return nil
	}
	if c.Authorize != nil {
		return errors.New("console: TokenFile is set, but with Authorize there is no token")
	}
	_, err := readToken(c.TokenFile)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err = os.Stat(filepath.Dir(c.TokenFile)); err == nil {
			err = writable(filepath.Dir(c.TokenFile))
		}
	}
	if err != nil {
		return fmt.Errorf("console: TokenFile: %w", err)
	}
	return nil
}

func (c *Console) validateSocket() error {
	if c.Socket == "" {
		return nil
	}
	if err := checkSocket(c.Socket); err != nil {
		return fmt.Errorf("console: Socket: %w", err)
	}
	return nil
}

func (c *Console) validatePrefix() error {
	if c.Prefix == "" || c.Prefix == "/" {
		return nil
	}
	if !strings.HasPrefix(c.Prefix, "/") || strings.ContainsAny(c.Prefix, "?#%{} ") || strings.Contains(c.Prefix, "//") {
		return fmt.Errorf("console: Prefix: %q is not a path like /relay", c.Prefix)
	}
	return nil
}

func (c *Console) validateHosts() error {
	for i, h := range c.Hosts {
		if h == "" || strings.ContainsAny(h, "/@ ?#*") {
			return fmt.Errorf("console: Hosts[%d]: %q is not a host name, with or without port", i, h)
		}
	}
	return nil
}

func (c *Console) validateAudit() error {
	if c.AuditDir == "" {
		return nil
	}
	if err := writable(c.AuditDir); err != nil {
		return fmt.Errorf("console: AuditDir: %w", err)
	}
	return nil
}

// writable returns an error if files cannot be created in the directory, or in
// the one in which it would be created.
func writable(dir string) error {
	err := logfile.Writable(dir)
	if cause := errors.Unwrap(err); cause != nil {
		return fmt.Errorf("%s cannot be written: %w", dir, cause)
	}
	return err
}
