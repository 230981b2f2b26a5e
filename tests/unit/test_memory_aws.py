from typing import Any

from handler.results.sequencing import expression_of
from tests.support.item_conditions import CASES
from tests.support.loopback_aws import State
from tests.unit.conftest import TABLE


def test_conditions_are_met_in_dynamodb_as_in_memory(aws: State) -> None:
    for number, (condition, item, met) in enumerate(CASES):
        source = {"source": {"S": f"s3://uploads/{number}"}}
        if item:
            aws.operator.dynamodb.put_item(TableName=TABLE, Item=item | source)
        expression = expression_of(condition)
        values: Any = {"ExpressionAttributeValues": expression.values} if expression.values else {}
        try:
            aws.operator.dynamodb.put_item(
                TableName=TABLE,
                Item=source,
                ConditionExpression=expression.text,
                ExpressionAttributeNames=expression.names,
                **values,
            )
        except aws.operator.dynamodb.exceptions.ConditionalCheckFailedException:
            assert not met
        else:
            assert met
