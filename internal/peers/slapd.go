package peers

import (
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// LDAPBase, LDAPAdmin and LDAPPassword are the suffix and the administrator of Slapd.
const (
	LDAPBase     = "dc=example,dc=com"
	LDAPAdmin    = "cn=admin," + LDAPBase
	LDAPPassword = "ahoy-0815"
)

// slapdConf has the schemas of Debian, and those attributes of Active Directory that the
// relay reads by default.
const slapdConf = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/misc.schema
attributetype ( 1.2.840.113556.1.2.210 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.2.840.113556.1.2.352 NAME 'targetAddress' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.2.138 NAME 'delivContLength' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile DIR/cert.pem
TLSCertificateKeyFile DIR/cert.pem
database mdb
suffix "dc=example,dc=com"
rootdn "cn=admin,dc=example,dc=com"
rootpw ahoy-0815
directory DIR
`

// Slapd starts Debian's OpenLDAP server with the entries of an LDIF text, below
// LDAPBase. It returns its URL. The server stops when stop is called or the test ends.
func Slapd(t testing.TB, cert *tls.Certificate, ldif string) (url string, stop func()) {
	t.Helper()
	bin, dir, addr := Need(t, "slapd"), t.TempDir(), FreeAddr(t)
	conf := filepath.Join(dir, "slapd.conf")
	check(t, os.WriteFile(filepath.Join(dir, "cert.pem"), PEM(t, cert), 0o600))
	check(t, os.WriteFile(conf, []byte(strings.ReplaceAll(slapdConf, "DIR", dir)), 0o600))
	if out, err := exec.Command(Need(t, "slapadd"), "-f", conf, "-l", File(t, ldif)).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	cmd := exec.Command(bin, "-h", "ldaps://"+addr, "-f", conf, "-d", "0")
	check(t, cmd.Start())
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	t.Cleanup(stop)
	Await(t, "slapd", func() bool {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return "ldaps://" + addr, stop
}
