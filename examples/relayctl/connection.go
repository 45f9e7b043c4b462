package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"
)

// A connection has the settings of the connection to the console, and the form
// of the output.
type connection struct {
	url, tokenFile, socket, caFile string
	timeout                        time.Duration
	json                           bool

	getenv func(string) string
}

const defaultURL = "http://127.0.0.1:8025"

// define adds the flags.
func (c *connection) define(fs *flag.FlagSet, getenv func(string) string) {
	c.getenv = getenv
	c.timeout = time.Minute
	c.again(fs)
}

// again adds the flags to the flags of a command. Their values so far stay.
func (c *connection) again(fs *flag.FlagSet) {
	fs.StringVar(&c.url, "url", c.url, "`URL` of the console; or RELAYCTL_URL (default "+defaultURL+")")
	fs.StringVar(&c.tokenFile, "token-file", c.tokenFile, "`file` with the token of the console; or RELAYCTL_TOKEN_FILE")
	fs.StringVar(&c.socket, "socket", c.socket, "`path` of the Unix socket of the console; or RELAYCTL_SOCKET")
	fs.StringVar(&c.caFile, "ca-file", c.caFile, "PEM `file` with the certificates that an https URL is verified with\n(default those of the system)")
	fs.DurationVar(&c.timeout, "timeout", c.timeout, "how long an answer may take; a change may take longer")
	fs.BoolVar(&c.json, "json", c.json, "print the JSON of the API")
}

// client returns a client with these settings. Flags are used before variables.
func (c *connection) client() (*client, error) {
	if c.timeout <= 0 {
		return nil, wrongUsage("-timeout must be more than 0")
	}
	if c.url != "" && c.socket != "" {
		return nil, wrongUsage("-url and -socket exclude each other")
	}
	if socket := c.socket; socket != "" || c.url == "" && c.getenv("RELAYCTL_URL") == "" {
		if socket == "" {
			socket = c.getenv("RELAYCTL_SOCKET")
		}
		if socket != "" {
			return newClient(&url.URL{Scheme: "http", Host: "localhost", Path: "/"}, "", socket, nil, c.timeout), nil
		}
	}
	base, token, err := c.base()
	if err != nil {
		return nil, err
	}
	if token == "" {
		if token, err = c.token(); err != nil {
			return nil, err
		}
	}
	if token != "" && base.Scheme == "http" && !isLoopback(base.Hostname()) {
		return nil, wrongUsage("%s is not encrypted and not on this machine: others could read the token; use https", base.Redacted())
	}
	var config *tls.Config
	if c.caFile != "" {
		pem, err := os.ReadFile(c.caFile)
		if err != nil {
			return nil, wrongUsage("-ca-file: %v", err)
		}
		config = &tls.Config{RootCAs: x509.NewCertPool()}
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, wrongUsage("-ca-file: %s has no certificate", c.caFile)
		}
	}
	return newClient(base, token, "", config, c.timeout), nil
}

// base returns the URL of the console, which ends in "/", and the token if the
// variable RELAYCTL_URL has one.
func (c *connection) base() (u *url.URL, token string, err error) {
	text, from := c.url, "-url"
	if text == "" {
		text, from = c.getenv("RELAYCTL_URL"), "RELAYCTL_URL"
	}
	if text == "" {
		text = defaultURL
	}
	u, err = url.Parse(text)
	switch {
	case err != nil: // the error has the URL, and this may have a token
		return nil, "", wrongUsage("%s is not a URL", from)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, "", wrongUsage("%s: it must have the form http://HOST:PORT or https://HOST:PORT", from)
	case u.User != nil:
		return nil, "", wrongUsage("%s: a user name is not possible", from)
	}
	token = u.Query().Get("token")
	if token != "" && from == "-url" {
		return nil, "", wrongUsage("-url has a token, and other users can read arguments: set RELAYCTL_URL to this URL, or use -token-file")
	}
	u.RawQuery, u.Fragment = "", ""
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return u, token, nil
}

// longestToken is the longest token that a console has.
const longestToken = 256

// token reads the token from the file or the variable. A console can be without
// one.
func (c *connection) token() (string, error) {
	file := c.tokenFile
	if file == "" {
		if token := c.getenv("RELAYCTL_TOKEN"); token != "" {
			return checkToken("RELAYCTL_TOKEN", token)
		}
		if file = c.getenv("RELAYCTL_TOKEN_FILE"); file == "" {
			return "", nil
		}
	}
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return "", wrongUsage("the token: %v", err)
	case !info.Mode().IsRegular() || info.Size() > 2*longestToken:
		return "", wrongUsage("%s is not a file with a token", file)
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		return "", wrongUsage("%s has the mode %04o: other users must not be able to read it (0600)", file, info.Mode().Perm())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", wrongUsage("the token: %v", err)
	}
	return checkToken(file, strings.TrimSpace(string(text)))
}

// checkToken returns the token if it can be in a header field. The error does not
// have the token.
func checkToken(from, token string) (string, error) {
	for _, c := range token {
		if c <= ' ' || c >= 0x7f {
			return "", wrongUsage("%s has no token: a token has only letters, digits, '-' and '_'", from)
		}
	}
	if token == "" || len(token) > longestToken {
		return "", wrongUsage("%s has no token: it has %d characters", from, len(token))
	}
	return token, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
