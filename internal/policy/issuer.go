package policy

// Issuer is a provider of identities, by whose accounts people sign in.
type Issuer struct {
	ID      string // in addresses of this house
	Title   string // what people call it
	Address string // the issuer's identifier, a URL (OpenID Connect Core 1.0, section 2)
}
