"""The canonical columns of a transaction, which every data source is mapped to."""

REQUIRED = ("transaction_id", "customer_id", "timestamp", "amount", "is_fraud")

NUMERIC = ("quantity", "customer_age", "account_age_days")

CATEGORICAL = ("payment_method", "product_category", "device", "customer_location")

IDENTIFIERS = ("shipping_address", "billing_address", "ip_address", "terminal_id")

OPTIONAL = NUMERIC + CATEGORICAL + IDENTIFIERS

CANONICAL = REQUIRED + OPTIONAL

# What kind of fraud a transaction was: an answer key, which no feature may ever see.
SCENARIO = "fraud_scenario"

# A column of it takes the place of `customer_age`.
BIRTH_DATE = "customer_birth_date"
